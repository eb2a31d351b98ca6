//! The OpenAI chat dialect, held to its golden corpus and to tables of what is odd or hostile.

#![allow(clippy::disallowed_methods)] // The corpus is read from files.

#[path = "openai_chat/answers.rs"]
mod answers;
#[path = "openai_chat/corpus.rs"]
mod corpus;
#[path = "openai_chat/faults.rs"]
mod faults;
#[path = "openai_chat/hostile.rs"]
mod hostile;
#[path = "openai_chat/requests.rs"]
mod requests;
#[path = "openai_chat/streams.rs"]
mod streams;
#[path = "openai_chat/writing.rs"]
mod writing;
