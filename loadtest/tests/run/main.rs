//! `tollgate-loadtest run`, the built program, against servers that do as a test says.

mod known;
mod lies;
mod manners;
mod server;
