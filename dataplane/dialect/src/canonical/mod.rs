//! What every chat dialect says, in words of none: the request between a reader and a writer, and the stream of events
//! an answer is. Texts are borrowed from the bytes that came; nothing here is a JSON tree.

pub mod answer;
pub mod bad;
pub mod event;
pub mod fault;
pub mod feature;
pub mod request;
pub mod seal;
pub mod sealed_id;
