//! Token usage in disjoint classes.

/// Tokens of one call. The classes are disjoint, and absent (`None`) is not zero: a provider that does not report a
/// class has said nothing about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Input that was neither read from nor written to a prompt cache, audio and images left out.
    pub input: Option<u64>,
    pub cache_read: Option<u64>,
    pub cache_write_5m: Option<u64>,
    pub cache_write_1h: Option<u64>,
    /// Output that is not reasoning and not audio.
    pub output: Option<u64>,
    pub reasoning: Option<u64>,
    pub input_audio: Option<u64>,
    pub output_audio: Option<u64>,
    pub input_image: Option<u64>,
}

/// `all` less the classes counted inside it. A provider that counts more inside than in all has overlapping details
/// (cached audio, for instance): the remainder is then zero, never a wrapped number.
pub(crate) fn without(all: u64, inside: &[Option<u64>]) -> u64 {
    inside
        .iter()
        .flatten()
        .fold(all, |rest, &class| rest.saturating_sub(class))
}
