//! What is timed by `benches/micro` and counted by `examples/counts`: one list of cases, and whole calls inside the
//! engine, without I/O. Knows no clock.

mod call;
mod case;
mod cases;
mod gateway;
mod kept;
// The data plane is a program, not a library; its histogram stands alone in this file and is measured as it is there.
#[allow(dead_code, clippy::pedantic)] // Only recording is measured here.
#[path = "../../dataplane/shard/src/metrics/latency.rs"]
mod latency;
mod shard;

pub use call::Call;
pub use case::{Case, Unit};
pub use cases::cases;
pub use gateway::{Gateway, KNOWN_KEYS};
pub use latency::Latency;
pub use shard::Shard;
