//! How a call proves whose it is where a key in a header is not enough: signatures of AWS, and the access tokens of
//! Google and Microsoft. Time and randomness are given; tokens are asked for elsewhere, here is only what is said.

pub mod aws;
pub mod azure;
pub mod credential;
mod form;
pub mod google;
pub mod renewal;
pub mod source;
pub mod time;
pub mod token;

pub use aws::{Payload, PayloadHash, Request, Signer};
pub use credential::{AwsCredential, AwsKeys};

/// Why a credential is of no use. Never says what it holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadCredential(pub &'static str);
