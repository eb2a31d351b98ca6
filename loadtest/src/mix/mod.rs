//! What a run sends, as an operator writes it down: classes of requests, their shares, sizes, keys and manners.
//!
//! A [`Mix`] is read and checked once; each worker thread then composes from it with a [`Composer`] of its own. Knows
//! no socket and no clock.

mod bodies;
mod check;
mod compose;
mod corpus;
pub mod dice;
mod distribution;
mod file;
mod plan;
mod prose;
pub mod schedule;
mod schedule_file;
mod template;
pub mod units;
mod weighted;

use std::path::Path;

pub use compose::{ComposeFor, Composed, Composer};
use distribution::Distribution;
use plan::{Keys, Plan, Wanted};
use weighted::Weighted;

use crate::{dialect::Dialect, yaml};

/// A checked mix: it has at least one class of positive weight, and every file it names has been read.
#[derive(Debug)]
pub struct Mix {
    pub name: String,
    /// Where every draw begins, unless the command line says otherwise.
    pub seed: Option<u64>,
    /// The load the mix is meant for, unless the command line says otherwise.
    pub schedule: Option<schedule::Schedule>,
    pub classes: Vec<Class>,
    keys: Option<Keys>,
    /// Draws a class by its weight.
    pick: Weighted,
}

/// The mixes that come with the program.
const BUILT_IN: [(&str, &str); 5] = [
    ("chat", include_str!("../../../config/loadtest/chat.yaml")),
    ("agent-loops", include_str!("../../../config/loadtest/agent-loops.yaml")),
    (
        "long-context",
        include_str!("../../../config/loadtest/long-context.yaml"),
    ),
    ("embeddings", include_str!("../../../config/loadtest/embeddings.yaml")),
    (
        "abusive-client",
        include_str!("../../../config/loadtest/abusive-client.yaml"),
    ),
];

/// A class of requests that are alike.
#[derive(Debug)]
pub struct Class {
    pub name: String,
    pub weight: f64,
    pub dialect: Dialect,
    pub kind: Kind,
    pub manners: Manners,
    /// The statuses that are right for this class beside 2xx: a class of wrong keys is answered by a 401. An answer
    /// with one of them is `answered`, its content not verified.
    pub expect_status: Vec<u16>,
    plan: Plan,
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

impl Kind {
    pub const ALL: [Kind; 6] = [
        Kind::Chat,
        Kind::Embeddings,
        Kind::Rerank,
        Kind::Moderations,
        Kind::Models,
        Kind::Other,
    ];

    /// As mixes write it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Chat => "chat",
            Kind::Embeddings => "embeddings",
            Kind::Rerank => "rerank",
            Kind::Moderations => "moderations",
            Kind::Models => "models",
            Kind::Other => "other",
        }
    }
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
    /// From the path of `--url`: one that ends like a dialect's chat path chooses the dialect, and what stands before
    /// is the base path; any other but `/` is asked for as it is. Answers the class and the base path of mixes.
    pub fn of_url_path(path: &str) -> (Self, String) {
        let path = path.trim_end_matches('/');
        for (ending, dialect) in bodies::CHAT_ENDINGS {
            if let Some(base) = path.strip_suffix(ending) {
                return (
                    Self {
                        dialect,
                        ..Self::default()
                    },
                    base.to_owned(),
                );
            }
        }
        (Self::default(), path.to_owned())
    }
}

impl Mix {
    /// Reads and checks a mix. Files it names are relative to its folder. The error names file, line and remedy.
    pub fn read(path: &Path) -> Result<Self, String> {
        let folder = path.parent().unwrap_or(Path::new(""));
        check::mix(yaml::read(path)?, &path.display().to_string(), folder)
    }

    /// One of the mixes that come with the program, or None.
    pub fn built_in(name: &str) -> Option<Result<Self, String>> {
        let (name, text) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name)?;
        let file = format!("{name}.yaml");
        Some(yaml::parse(&file, text).and_then(|read| check::mix(read, &file, Path::new(""))))
    }

    /// `--mix`: a file when there is one, else a built-in mix by name; the error lists the names.
    pub fn named(name: &str) -> Result<Self, String> {
        let path = Path::new(name);
        if path.is_file() {
            return Self::read(path);
        }
        Self::built_in(name).unwrap_or_else(|| {
            let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
            Err(format!(
                "--mix {name}: no such file, and no built-in mix; give a file or one of {}",
                names.join(", ")
            ))
        })
    }

    pub fn single(single: Single) -> Result<Self, String> {
        let mut wanted = Wanted::new(single.dialect, Kind::Chat);
        wanted.model.clone_from(&single.model);
        wanted.path = single.path;
        wanted.max_tokens = single.max_tokens.map(|tokens| Distribution::Constant(tokens as f64));
        wanted.prompt = Distribution::Constant(1.0);
        let frame_bytes = wanted.made()?.plain_bytes() - 1;
        wanted.prompt = Distribution::Constant(single.body_bytes.saturating_sub(frame_bytes).max(1) as f64);
        let plan = Plan {
            method: wanted.method(true)?,
            paths: wanted.paths()?,
            headers: Vec::new(),
            content: wanted.made()?,
            turns: None,
            keys: None,
            repeat: None,
            think: Distribution::Constant(0.0),
            drawn_stream_share: single.stream_share,
            lines_stream: false,
        };
        let class = Class {
            name: "chat".to_owned(),
            weight: 1.0,
            dialect: single.dialect,
            kind: Kind::Chat,
            manners: single.manners,
            expect_status: Vec::new(),
            plan,
        };
        Ok(Self {
            name: "single".to_owned(),
            seed: None,
            schedule: None,
            classes: vec![class],
            keys: None,
            pick: Weighted::new(&[1.0]),
        })
    }
}

#[cfg(test)]
mod tests;
