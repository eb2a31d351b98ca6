//! From one dialect into another: a request on its way up, an answer on its way down.
//!
//! Here is what no dialect knows of another: who issued a signature, and what stands for a structured answer where the
//! target has none.

mod downward;
mod ending;
mod gate;
mod members;
mod onward;
mod schema;
mod told;
mod upward;

pub use downward::{Answering, Delivery, MAX_ANSWER_BYTES};
pub use ending::Ending;
pub use members::fit;
pub use onward::{SoFar, write_continuation};
pub use told::MAX_TOLD_BYTES;
pub use upward::{LIVES_ELSEWHERE, Sent, write_request};
