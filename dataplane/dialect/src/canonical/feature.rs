//! Things a request may ask for that not every dialect can say.

use std::borrow::Cow;

/// What a writer could not carry. `Speaks::field` gives it the name that the caller's dialect has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Feature {
    MaxTokens,
    /// Also: it was clamped into the target's range.
    Temperature,
    TopP,
    TopK,
    FrequencyPenalty,
    PresencePenalty,
    Seed,
    Stop,
    N,
    Logprobs,
    TopLogprobs,
    LogitBias,
    ParallelTools,
    ToolChoice,
    ToolStrict,
    ToolResultError,
    Tools,
    Format,
    Thinking,
    /// Thoughts of earlier turns, or what signs them.
    Signature,
    Image,
    ImageUrl,
    ImageDetail,
    Document,
    DocumentUrl,
    Audio,
    Video,
    ToolResultMedia,
    Cache,
    Cite,
    Refusal,
    ParticipantName,
    Prefill,
    User,
    Metadata,
    ServiceTier,
    /// Something that lives at another provider.
    Owned,
}

impl Feature {
    pub const ALL: [Feature; 37] = [
        Feature::MaxTokens,
        Feature::Temperature,
        Feature::TopP,
        Feature::TopK,
        Feature::FrequencyPenalty,
        Feature::PresencePenalty,
        Feature::Seed,
        Feature::Stop,
        Feature::N,
        Feature::Logprobs,
        Feature::TopLogprobs,
        Feature::LogitBias,
        Feature::ParallelTools,
        Feature::ToolChoice,
        Feature::ToolStrict,
        Feature::ToolResultError,
        Feature::Tools,
        Feature::Format,
        Feature::Thinking,
        Feature::Signature,
        Feature::Image,
        Feature::ImageUrl,
        Feature::ImageDetail,
        Feature::Document,
        Feature::DocumentUrl,
        Feature::Audio,
        Feature::Video,
        Feature::ToolResultMedia,
        Feature::Cache,
        Feature::Cite,
        Feature::Refusal,
        Feature::ParticipantName,
        Feature::Prefill,
        Feature::User,
        Feature::Metadata,
        Feature::ServiceTier,
        Feature::Owned,
    ];
}

/// What a request loses on its way into another dialect: in the caller's words, each once.
#[derive(Clone, Debug, Default)]
pub struct Drops {
    features: Vec<Feature>,
}

impl Drops {
    pub fn note(&mut self, feature: Feature) {
        if !self.features.contains(&feature) {
            self.features.push(feature);
        }
    }

    /// Notes it when there is something to lose.
    pub fn note_if(&mut self, feature: Feature, lost: bool) {
        if lost {
            self.note(feature);
        }
    }

    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    pub fn is_empty(&self) -> bool {
        self.features.is_empty()
    }
}

/// A list of names for `x-tollgate-dropped`, each once, cut where it grows beyond a header.
pub fn names(unread: &[Cow<'_, str>], drops: &Drops, field: impl Fn(Feature) -> &'static str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let fields = drops.features().iter().map(|feature| Cow::Borrowed(field(*feature)));
    for name in unread.iter().cloned().chain(fields) {
        if names.len() < MAX_NAMES && !names.iter().any(|known| *known == name) {
            names.push(name.into_owned());
        }
    }
    names
}

const MAX_NAMES: usize = 32;
