//! A question for a vector, and why there may be none. Knows no exchange.

use std::{cell::OnceCell, fmt, sync::Arc};

use crate::Tick;

/// The words of a call, on their way to become a vector. Whoever asks holds it, and so does who is to tell.
pub struct Question {
    /// Of the words, who may share what comes of them, and who is asked.
    pub key: u128,
    pub text: Box<str>,
    pub asked: Tick,
    pub told: OnceCell<Result<Arc<[f32]>, Lack>>,
}

// By hand: nobody's words stand in a log.
impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question")
            .field("told", &self.told.get().is_some())
            .finish_non_exhaustive()
    }
}

/// Why a call has no vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// It was not there in time.
    Late {
        waited_ms: u64,
    },
    /// The provider fails and is left alone.
    Resting,
    /// Too many wait.
    Full,
    /// The call's words may not go where the provider is.
    Region,
    Failed(Why),
}

/// Why a call to the provider gave none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It answered, and with another status than 200.
    Status(u16),
    /// The gateway's own answer, where nobody else answered: its `code`.
    Refused(&'static str),
    /// It broke off.
    Unanswered,
    /// What it said are not the vectors that were asked for.
    Answer(&'static str),
    /// Another embedder is in force.
    Replaced,
}

impl Why {
    /// Is it perhaps said of what stands in one of the texts, which is somebody's, and not of who asks, or how often?
    pub fn is_of_a_text(self) -> bool {
        matches!(self, Self::Status(status @ 400..=499) if !matches!(status, 401..=405 | 407 | 408 | 429))
    }
}

impl Lack {
    /// For people; `name` is the embedder's.
    pub fn words(self, name: &str) -> String {
        match self {
            Self::Late { waited_ms } => format!("no embedding by {name} within {waited_ms} ms"),
            Self::Resting => format!("{name} fails to make embeddings and is left alone for a while"),
            Self::Full => format!("too many wait for embeddings by {name}"),
            Self::Region => format!("the call's words may not go to {name}, which is in no region that is left to it"),
            Self::Failed(Why::Status(status)) => format!("no embedding by {name}: it answered {status}"),
            Self::Failed(Why::Refused(code)) => format!("no embedding by {name}: {code}"),
            Self::Failed(Why::Unanswered) => format!("no embedding by {name}: it did not answer"),
            Self::Failed(Why::Answer(wrong)) => format!("no embedding by {name}: of its answer, {wrong}"),
            Self::Failed(Why::Replaced) => format!("{name} is not the embedder any more"),
        }
    }
}
