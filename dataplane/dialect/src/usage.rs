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

impl Usage {
    /// Takes what `later` says; what it does not say stays.
    pub fn merge(&mut self, later: &Usage) {
        let take = |mine: &mut Option<u64>, theirs: Option<u64>| *mine = theirs.or(*mine);
        take(&mut self.input, later.input);
        take(&mut self.cache_read, later.cache_read);
        take(&mut self.cache_write_5m, later.cache_write_5m);
        take(&mut self.cache_write_1h, later.cache_write_1h);
        take(&mut self.output, later.output);
        take(&mut self.reasoning, later.reasoning);
        take(&mut self.input_audio, later.input_audio);
        take(&mut self.output_audio, later.output_audio);
        take(&mut self.input_image, later.input_image);
    }

    /// Takes the sum of both: what several calls used.
    pub fn add(&mut self, other: &Usage) {
        let add = |mine: &mut Option<u64>, theirs: Option<u64>| {
            *mine = match (*mine, theirs) {
                (Some(mine), Some(theirs)) => Some(mine.saturating_add(theirs)),
                (mine, theirs) => mine.or(theirs),
            };
        };
        add(&mut self.input, other.input);
        add(&mut self.cache_read, other.cache_read);
        add(&mut self.cache_write_5m, other.cache_write_5m);
        add(&mut self.cache_write_1h, other.cache_write_1h);
        add(&mut self.output, other.output);
        add(&mut self.reasoning, other.reasoning);
        add(&mut self.input_audio, other.input_audio);
        add(&mut self.output_audio, other.output_audio);
        add(&mut self.input_image, other.input_image);
    }

    /// Everything that went in: what dialects call the prompt's tokens, caches included.
    pub fn all_input(&self) -> u64 {
        sum(&[
            self.input,
            self.cache_read,
            self.cache_write_5m,
            self.cache_write_1h,
            self.input_audio,
            self.input_image,
        ])
    }

    /// Everything that came out, reasoning included.
    pub fn all_output(&self) -> u64 {
        sum(&[self.output, self.reasoning, self.output_audio])
    }
}

/// Takes what was said, if anything was, into `total`; false where nothing was.
pub(crate) fn take(said: Option<Usage>, total: &mut Usage) -> bool {
    said.inspect(|usage| total.merge(usage)).is_some()
}

fn sum(classes: &[Option<u64>]) -> u64 {
    classes
        .iter()
        .flatten()
        .fold(0, |sum, &class| sum.saturating_add(class))
}

/// `all` less the classes counted inside it. A provider that counts more inside than in all has overlapping details
/// (cached audio, for instance): the remainder is then zero, never a wrapped number.
pub(crate) fn without(all: u64, inside: &[Option<u64>]) -> u64 {
    inside
        .iter()
        .flatten()
        .fold(all, |rest, &class| rest.saturating_sub(class))
}
