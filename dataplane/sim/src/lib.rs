//! Seeded simulator over the engine: many exchanges on one virtual shard, a virtual clock, and a world that refuses,
//! delays, cuts, stalls, fragments and leaves. What must never happen is asserted after every step.
//!
//! It knows no real clock, socket or randomness: a seed is a whole history, and the same seed is always the same one.

#![forbid(unsafe_code)]

mod answer;
mod call;
mod check;
mod connection;
mod gateway;
mod rng;
mod world;

pub use world::{Summary, run};
