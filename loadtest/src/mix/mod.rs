//! What a run sends, as an operator writes it down: classes of requests, their shares, sizes, keys and manners.
//!
//! A [`Mix`] is read and checked once; each worker thread then composes from it with a [`Composer`] of its own. Knows
//! no socket and no clock.

mod compose;
mod dice;
pub mod schedule;
pub mod units;

use std::path::Path;

pub use compose::{ComposeFor, Composed, Composer};

use crate::dialect::Dialect;

/// A checked mix: it has at least one class of positive weight, and every file it names has been read.
#[derive(Debug)]
pub struct Mix {
    pub name: String,
    /// Where every draw begins, unless the command line says otherwise.
    pub seed: Option<u64>,
    /// The load the mix is meant for, unless the command line says otherwise.
    pub schedule: Option<schedule::Schedule>,
    pub classes: Vec<Class>,
}

/// A class of requests that are alike.
#[derive(Debug)]
pub struct Class {
    pub name: String,
    pub weight: f64,
    pub dialect: Dialect,
    pub kind: Kind,
    pub model: String,
    /// Share of the requests that ask for a stream, 0 to 1.
    pub stream_share: f64,
    pub manners: Manners,
    /// The statuses that are right for this class beside 2xx: a class of wrong keys is answered by a 401. An answer
    /// with one of them is `answered`, its content not verified.
    pub expect_status: Vec<u16>,
}

/// What a request asks for, and so what its answer looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The only kind whose answers carry a checksum, and that streams.
    Chat,
    Embeddings,
    Rerank,
    Moderations,
    /// `GET` of the list of models.
    Models,
    /// Path and body are the mix's own; nothing is known of the answer.
    Other,
}

/// How a client behaves on its connection.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Manners {
    /// Reads no faster than this.
    pub read_bytes_per_second: Option<u64>,
    /// Closes the connection in the middle of the answer; which requests do is told by [`Composed::leave_after_bytes`].
    pub leave: Option<Leave>,
    /// Sends each byte of the request in a write of its own.
    pub send_byte_at_a_time: bool,
}

/// A client that leaves before its answer is whole. It is not a failure of the target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leave {
    /// Share of the requests that are left, 0 to 1.
    pub share: f64,
    /// Bytes of the answer that are read before.
    pub after_bytes: u64,
}

/// What `run` sends when it is given no mix: one class of chat requests, all alike but for their text.
#[derive(Clone, Debug)]
pub struct Single {
    pub dialect: Dialect,
    /// Instead of the dialect's own.
    pub path: Option<String>,
    pub model: String,
    /// Of the whole body, about.
    pub body_bytes: u64,
    pub stream_share: f64,
    pub max_tokens: Option<u64>,
    pub manners: Manners,
}

impl Default for Single {
    fn default() -> Self {
        Self {
            dialect: Dialect::OpenAi,
            path: None,
            model: "sandbox-small".to_owned(),
            body_bytes: 1200,
            stream_share: 0.0,
            max_tokens: None,
            manners: Manners::default(),
        }
    }
}

impl Single {
    /// From the path of `--url`: a path that ends like one of a dialect's chat paths chooses the dialect, and what
    /// stands before is the base path; any other path is the base path of every class (`/` is none).
    /// Answers the class and the base path.
    pub fn of_url_path(path: &str) -> (Self, String) {
        (Self::default(), path.trim_end_matches('/').to_owned())
    }
}

impl Mix {
    /// Reads and checks a mix. Files it names are relative to its folder. The error names file, line and remedy.
    pub fn read(path: &Path) -> Result<Self, String> {
        Err(format!("{}: no mixes can be read yet", path.display()))
    }

    /// One of the mixes that come with the program, or None.
    pub fn built_in(_name: &str) -> Option<Self> {
        None
    }

    /// `--mix`: a file when there is one, else a built-in mix by name; the error lists the names.
    pub fn named(name: &str) -> Result<Self, String> {
        Self::read(Path::new(name))
    }

    pub fn single(single: Single) -> Self {
        Self {
            name: "single".to_owned(),
            seed: None,
            schedule: None,
            classes: vec![Class {
                name: "chat".to_owned(),
                weight: 1.0,
                dialect: single.dialect,
                kind: Kind::Chat,
                model: single.model,
                stream_share: single.stream_share,
                manners: single.manners,
                expect_status: Vec::new(),
            }],
        }
    }
}
