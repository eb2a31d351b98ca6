//! The canonical request, written for Cohere.

use super::{
    documents,
    tools::{self, Sent},
    turns_writer::Turns,
};
use crate::{
    canonical::{
        bad::BadRequest,
        feature::{Drops, Feature},
        request::{Amount, Effort, Format, Request, Sampling},
    },
    json::{Number, Out},
    speak::TargetFacts,
};

/// Cohere's bounds.
const MOST_STOP_SEQUENCES: usize = 5;
const MOST_K: u64 = 500;
const TEMPERATURE: Range = Range {
    least: (0.0, b"0"),
    most: (2.0, b"2"),
};
const P: Range = Range {
    least: (0.01, b"0.01"),
    most: (0.99, b"0.99"),
};
const PENALTY: Range = Range {
    least: (0.0, b"0"),
    most: (1.0, b"1"),
};

/// The top level of a request as it is written.
pub(super) struct Members<'w, 'd> {
    pub json: Out<'w>,
    pub to: &'d TargetFacts<'d>,
    pub drops: &'d mut Drops,
}

impl Members<'_, '_> {
    /// May this member be sent? A loss is noted.
    pub fn may(&mut self, name: &str, feature: Feature) -> bool {
        let dropped = self.to.quirks.drop.iter().any(|drop| drop == name);
        self.drops.note_if(feature, dropped);
        !dropped
    }

    /// The same for a parameter of sampling, which some models refuse altogether.
    fn may_sample(&mut self, name: &str, feature: Feature) -> bool {
        self.drops.note_if(feature, !self.to.quirks.sampling);
        self.to.quirks.sampling && self.may(name, feature)
    }
}

/// Bounds with the way they are written.
struct Range {
    least: (f64, &'static [u8]),
    most: (f64, &'static [u8]),
}

impl Range {
    /// The number's bytes, or the bound that it is beyond.
    fn clamp<'n>(&self, number: Number<'n>) -> (&'n [u8], bool) {
        match number.value() {
            value if value < self.least.0 => (self.least.1, true),
            value if value > self.most.0 => (self.most.1, true),
            _ => (number.raw(), false),
        }
    }
}

pub(super) fn write(
    request: &Request<'_>,
    to: &TargetFacts<'_>,
    drops: &mut Drops,
    out: &mut Vec<u8>,
) -> Result<(), BadRequest> {
    let sent = Sent::of(request);
    let mut members = Members {
        json: Out::new(out),
        to,
        drops,
    };
    members.json.open();
    members.json.key("model").string(to.model);
    members.json.key("stream").boolean(request.stream);
    let mut turns = Turns {
        // A format and documents are not taken together either; a document can be text of its turn.
        inline_documents: sent.format,
        prefill: to.quirks.prefill,
        json: &mut members.json,
        drops: members.drops,
    };
    turns.write(request)?;
    if !sent.format {
        documents::write(request, &mut members.json);
    }
    if sent.tools {
        tools::write(request, &mut members)?;
    }
    write_format(request, &sent, &mut members);
    write_thinking(request, &mut members);
    write_sampling(&request.sampling, &mut members);
    write_lengths(&request.sampling, &mut members);
    note_the_rest(request, members.drops);
    members.json.close();
    Ok(())
}

fn write_format(request: &Request<'_>, sent: &Sent, to: &mut Members<'_, '_>) {
    if request.format == Format::Text {
        return;
    }
    if !sent.format {
        return to.drops.note(Feature::Format);
    }
    if !to.may("response_format", Feature::Format) {
        return;
    }
    to.json.key("response_format").open();
    to.json.key("type").string("json_object");
    // A schema's name, description and strictness have no member: it is always held to.
    if let Format::Schema { schema, .. } = &request.format {
        to.json.key("json_schema").raw(schema);
    }
    to.json.close();
}

fn write_thinking(request: &Request<'_>, to: &mut Members<'_, '_>) {
    let Some(thinking) = request.thinking else { return };
    if !to.may("thinking", Feature::Thinking) {
        return;
    }
    let budget = match thinking.amount {
        Amount::Off | Amount::BudgetTokens(0) => {
            to.json.key("thinking").open().key("type").string("disabled").close();
            return;
        }
        Amount::BudgetTokens(tokens) => Some(tokens),
        // Without a budget it may think as long as it may answer.
        Amount::Adaptive | Amount::Effort(Effort::Most) => None,
        Amount::Effort(effort) => {
            // The caller named no number, so ours leaves half of the output for the answer.
            let half = request.sampling.max_tokens.map_or(u64::MAX, |most| (most / 2).max(1));
            Some(effort.budget_tokens().min(half))
        }
    };
    to.json.key("thinking").open().key("type").string("enabled");
    if let Some(tokens) = budget {
        to.json.key("token_budget").unsigned(tokens);
    }
    to.json.close();
}

fn write_sampling(sampling: &Sampling<'_>, to: &mut Members<'_, '_>) {
    // Some models take only one penalty, and zero says nothing: it must not stand beside the other.
    let both = sampling.frequency_penalty.is_some() && sampling.presence_penalty.is_some();
    let penalty = |number: Option<Number<'_>>| number.is_some_and(|number| !both || number.value() != 0.0);
    let numbers = [
        (
            "temperature",
            Feature::Temperature,
            sampling.temperature,
            TEMPERATURE,
            true,
        ),
        ("p", Feature::TopP, sampling.top_p, P, true),
        (
            "frequency_penalty",
            Feature::FrequencyPenalty,
            sampling.frequency_penalty,
            PENALTY,
            penalty(sampling.frequency_penalty),
        ),
        (
            "presence_penalty",
            Feature::PresencePenalty,
            sampling.presence_penalty,
            PENALTY,
            penalty(sampling.presence_penalty),
        ),
    ];
    for (name, feature, number, range, says_something) in numbers {
        let Some(number) = number.filter(|_| says_something) else {
            continue;
        };
        if to.may_sample(name, feature) {
            let (bytes, clamped) = range.clamp(number);
            to.drops.note_if(feature, clamped);
            to.json.key(name).raw(bytes);
        }
    }
    if let Some(k) = sampling.top_k
        && to.may_sample("k", Feature::TopK)
    {
        to.drops.note_if(Feature::TopK, k > MOST_K);
        to.json.key("k").unsigned(k.min(MOST_K));
    }
    if let Some(seed) = sampling.seed
        && to.may("seed", Feature::Seed)
    {
        match seed.unsigned() {
            Some(seed) => {
                to.json.key("seed").unsigned(seed);
            }
            None => to.drops.note(Feature::Seed),
        }
    }
}

fn write_lengths(sampling: &Sampling<'_>, to: &mut Members<'_, '_>) {
    if let Some(wanted) = sampling.max_tokens
        && to.may("max_tokens", Feature::MaxTokens)
    {
        let most = to.to.quirks.most_max_tokens.unwrap_or(u64::MAX);
        to.drops.note_if(Feature::MaxTokens, wanted > most);
        to.json.key("max_tokens").unsigned(wanted.min(most));
    }
    if !sampling.stop.is_empty() && to.may("stop_sequences", Feature::Stop) {
        to.drops
            .note_if(Feature::Stop, sampling.stop.len() > MOST_STOP_SEQUENCES);
        to.json.key("stop_sequences").open_list();
        for sequence in sampling.stop.iter().take(MOST_STOP_SEQUENCES) {
            to.json.text(sequence);
        }
        to.json.close_list();
    }
    if let Some(wanted) = sampling.logprobs
        && to.may("logprobs", Feature::Logprobs)
    {
        to.json.key("logprobs").boolean(wanted);
    }
}

/// What Cohere has no member for.
fn note_the_rest(request: &Request<'_>, drops: &mut Drops) {
    let sampling = &request.sampling;
    drops.note_if(Feature::N, sampling.n.is_some_and(|n| n > 1));
    drops.note_if(Feature::TopLogprobs, sampling.top_logprobs.is_some_and(|top| top > 0));
    drops.note_if(Feature::LogitBias, sampling.logit_bias.is_some());
    drops.note_if(Feature::User, request.user.is_some());
    drops.note_if(Feature::Metadata, request.metadata.is_some());
    drops.note_if(Feature::ServiceTier, request.service_tier.is_some());
    drops.note_if(Feature::Owned, !request.owned.is_empty());
}
