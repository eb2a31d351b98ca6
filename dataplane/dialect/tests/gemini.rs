//! Gemini, read and written: a golden corpus there and back, streams cut anywhere, and input meant to hurt.

#[path = "gemini/answers.rs"]
mod answers;
#[path = "gemini/faults.rs"]
mod faults;
#[path = "gemini/hostile.rs"]
mod hostile;
#[path = "gemini/others.rs"]
mod others;
#[path = "gemini/requests.rs"]
mod requests;
#[path = "gemini/rig.rs"]
mod rig;
