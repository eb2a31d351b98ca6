//! Where a request ends up: at a provider, or answered by the gateway itself.

pub(crate) mod count;
pub(crate) mod direct;
pub(crate) mod health;
pub(crate) mod list;
pub(crate) mod model;
pub(crate) mod object;
