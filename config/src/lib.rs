//! What an operator may say, and what the planes say to each other.
//!
//! Text becomes a `serde_json::Value` tree with positions (`parse`), the tree becomes a `Document` or a list of all
//! its faults (`check`), two trees become a list of changes in words (`diff`). The JSON tree is what is stored and
//! what pointers address; `Document` is its typed reading. Nothing here reads a file, a socket or the environment.

pub mod catalogue;
pub mod check;
pub mod diff;
pub mod document;
pub mod fnv;
pub mod keys;
pub mod link;
pub mod marks;
pub mod money;
pub mod parse;
pub mod pointer;
pub mod prices;
pub mod problem;
pub mod quickstart;
pub mod stored_limits;
pub mod usage_event;

pub use document::Document;
pub use keys::keys;
pub use problem::Problem;
pub use quickstart::quickstart;
