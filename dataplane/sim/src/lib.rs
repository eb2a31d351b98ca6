//! Seeded simulator over the engine.
