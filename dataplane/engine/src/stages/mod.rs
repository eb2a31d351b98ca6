//! The stages, one duty each, in the order of `stage`.

pub(crate) mod admit;
pub(crate) mod authorize;
pub(crate) mod cache;
pub(crate) mod form;
pub(crate) mod identify;
pub(crate) mod limit;
pub(crate) mod matching;
pub(crate) mod open;
pub(crate) mod route;
pub(crate) mod settle;
pub(crate) mod shed;
