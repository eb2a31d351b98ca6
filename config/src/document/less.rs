//! Less that is sent, as an operator says it: guards on what calls are about, and what is left out of prompts. Knows no
//! vectors and no texts but examples.

use super::Named;

/// Guards that a model may have, and topics of a guard.
pub const MAX_GUARDS: usize = 8;
pub const MAX_TOPICS: usize = 64;

/// A guard of `kind: topics`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Examples by topic: what is near one is blocked …
    pub deny: Named<Vec<String>>,
    /// … unless it is nearer to one of these. Without `deny`, what is near none of these is blocked.
    pub allow: Named<Vec<String>>,
    /// What is near: a similarity, in thousandths.
    pub threshold_thousandths: u16,
    pub mode: GuardMode,
    /// It reads prompts, and answers.
    pub on: GuardSides,
}

impl Guard {
    /// From the table of `docs/src/less-to-send.md`.
    pub const THRESHOLD_THOUSANDTHS: u16 = 450;
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GuardMode {
    #[default]
    Enforce,
    /// What it finds is counted, and passes.
    Shadow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuardSides {
    pub request: bool,
    pub response: bool,
}

/// What is left out of a model's prompts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compress {
    pub mode: CompressMode,
    pub steps: Steps,
    /// What was said long ago is told in short.
    pub summarize: Option<Summarize>,
    /// `mode: shadow`: of a hundred calls, so many are made a second time with the shorter prompt, and the answers compared.
    pub compare_percent: Option<u32>,
}

/// A summary in the place of a conversation's older turns, by another model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summarize {
    pub model: String,
    /// Of older turns that no summary has, so much is left as it is.
    pub after_bytes: u64,
    /// The last turns of the user, with all that follows them, stay.
    pub keep_turns: u32,
    /// Of a summary.
    pub max_tokens: u32,
    /// A summary that takes longer is given up.
    pub timeout_ms: u64,
    /// The call that wants a summary waits for it; or else the next one of its conversation has it.
    pub waits: bool,
}

impl Summarize {
    pub const AFTER_BYTES: u64 = 16 * 1024;
    pub const KEEP_TURNS: u32 = 4;
    pub const MAX_TOKENS: u32 = 1024;
    pub const TIMEOUT_MS: u64 = 5_000;
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompressMode {
    #[default]
    On,
    /// What would be saved is counted, and nothing is changed.
    Shadow,
}

/// Which of the ways to make a prompt shorter are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// Runs of blanks and of empty lines.
    pub whitespace: bool,
    /// Passages that stand word for word before.
    pub duplicates: bool,
    /// White space between the tokens of JSON documents.
    pub json: bool,
    /// The padding of tables.
    pub tables: bool,
    /// Comments in code of known languages.
    pub comments: bool,
    /// Sentences that say least are left out, until so much of a hundred is left.
    pub extract_percent: Option<u8>,
}

impl Steps {
    /// The switches, by name.
    pub const SWITCHES: [&'static str; 5] = ["whitespace", "duplicates", "json", "tables", "comments"];

    pub fn any(self) -> bool {
        self != Self::default()
    }

    /// The names of those that are taken.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let taken = [self.whitespace, self.duplicates, self.json, self.tables, self.comments];
        let switched = Self::SWITCHES.into_iter().zip(taken);
        let switched = switched.filter(|(_, taken)| *taken).map(|(name, _)| name);
        switched.chain(self.extract_percent.map(|_| "extract"))
    }
}
