//! JSON without a tree: a cursor that finds fields, and edits that keep every other byte.

pub mod cursor;
pub mod edit;
mod scan;
mod text;
pub mod watch;
