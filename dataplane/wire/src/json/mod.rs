//! JSON without a tree: a cursor that finds fields, and edits that keep every other byte.

pub mod cursor;
pub mod edit;
mod plain;
pub mod pull;
mod scan;
pub mod tap;
mod text;
pub mod watch;

pub use plain::plain_end;
