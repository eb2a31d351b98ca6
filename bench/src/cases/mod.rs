//! All cases, in the order they are told.

mod heads;
mod json;
mod kept;
mod keys;
mod meaning;
mod routes;
mod sign;
mod streams;
mod vectors;
mod whole;

use crate::Case;

pub fn cases() -> Vec<Case> {
    [
        &heads::CASES[..],
        &streams::CASES,
        &json::CASES,
        &whole::CASES,
        &kept::CASES,
        &routes::CASES,
        &meaning::CASES,
        &vectors::CASES,
        &keys::CASES,
        &sign::CASES,
    ]
    .concat()
}
