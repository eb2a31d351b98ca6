//! `generationConfig` of a request to a provider.

use crate::{
    canonical::{
        feature::{Drops, Feature},
        request::{Amount, Effort, Format, Request, Sampling, Thinking},
    },
    json::{Number, Out},
    quirks::Quirks,
    speak::TargetFacts,
};

/// Google's bounds, from the API reference.
const MAX_STOP_SEQUENCES: usize = 5;
const MAX_CANDIDATES: u64 = 8;
const MAX_TOP_LOGPROBS: u64 = 20;

pub(super) fn write(request: &Request<'_>, to: &TargetFacts<'_>, drops: &mut Drops, json: &mut Out<'_>) {
    let mut config = Vec::new();
    let mut writing = Config {
        json: Out::new(&mut config),
        quirks: to.quirks,
        drops,
    };
    writing.json.open();
    writing.sampling(&request.sampling);
    writing.limits(&request.sampling);
    writing.format(&request.format);
    if let Some(thinking) = request.thinking {
        writing.thinking(thinking, to.model);
    }
    writing.json.close();
    if config != b"{}" {
        json.key("generationConfig").raw(&config);
    }
}

struct Config<'c> {
    json: Out<'c>,
    quirks: &'c Quirks,
    drops: &'c mut Drops,
}

impl Config<'_> {
    /// May the member be sent? Notes what it would have said where it may not.
    fn takes(&mut self, member: &str, feature: Feature) -> bool {
        let takes = !self.quirks.drop.iter().any(|dropped| dropped == member);
        self.drops.note_if(feature, !takes);
        takes
    }

    fn sampling(&mut self, sampling: &Sampling<'_>) {
        let penalties = -2.0..=2.0;
        for (member, value, range, feature) in [
            ("temperature", sampling.temperature, 0.0..=2.0, Feature::Temperature),
            ("topP", sampling.top_p, 0.0..=1.0, Feature::TopP),
            (
                "presencePenalty",
                sampling.presence_penalty,
                penalties.clone(),
                Feature::PresencePenalty,
            ),
            (
                "frequencyPenalty",
                sampling.frequency_penalty,
                penalties,
                Feature::FrequencyPenalty,
            ),
        ] {
            let Some(value) = value else { continue };
            if self.samples(member, feature) {
                self.clamped(member, value, (*range.start(), *range.end()), feature);
            }
        }
        if let Some(top_k) = sampling.top_k
            && self.samples("topK", Feature::TopK)
        {
            self.json.key("topK").unsigned(top_k);
        }
        if let Some(seed) = sampling.seed
            && self.takes("seed", Feature::Seed)
        {
            self.seed(seed);
        }
        self.drops.note_if(Feature::LogitBias, sampling.logit_bias.is_some());
    }

    fn samples(&mut self, member: &str, feature: Feature) -> bool {
        self.drops.note_if(feature, !self.quirks.sampling);
        self.quirks.sampling && self.takes(member, feature)
    }

    fn clamped(&mut self, member: &str, number: Number<'_>, (low, high): (f64, f64), feature: Feature) {
        let value = number.value();
        self.json.key(member);
        if (low..=high).contains(&value) {
            self.json.number(number);
            return;
        }
        let bound = if value < low { low } else { high };
        self.json.raw(bound.to_string().as_bytes());
        self.drops.note(feature);
    }

    /// A seed is an `int32`.
    fn seed(&mut self, seed: Number<'_>) {
        let value = seed.value();
        let fits = value.fract() == 0.0 && (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&value);
        match fits {
            true => {
                self.json.key("seed").raw((value as i64).to_string().as_bytes());
            }
            false => self.drops.note(Feature::Seed),
        }
    }

    fn limits(&mut self, sampling: &Sampling<'_>) {
        let most = self.quirks.most_max_tokens.unwrap_or(u64::MAX);
        self.at_most("maxOutputTokens", sampling.max_tokens, most, Feature::MaxTokens);
        self.at_most("candidateCount", sampling.n, MAX_CANDIDATES, Feature::N);
        if !sampling.stop.is_empty() && self.takes("stopSequences", Feature::Stop) {
            self.json.key("stopSequences").open_list();
            for sequence in sampling.stop.iter().take(MAX_STOP_SEQUENCES) {
                self.json.text(sequence);
            }
            self.json.close_list();
            self.drops
                .note_if(Feature::Stop, sampling.stop.len() > MAX_STOP_SEQUENCES);
        }
        if let Some(logprobs) = sampling.logprobs
            && self.takes("responseLogprobs", Feature::Logprobs)
        {
            self.json.key("responseLogprobs").boolean(logprobs);
        }
        self.at_most(
            "logprobs",
            sampling.top_logprobs,
            MAX_TOP_LOGPROBS,
            Feature::TopLogprobs,
        );
    }

    fn at_most(&mut self, member: &str, value: Option<u64>, most: u64, feature: Feature) {
        if let Some(value) = value
            && self.takes(member, feature)
        {
            self.json.key(member).unsigned(value.min(most));
            self.drops.note_if(feature, value > most);
        }
    }

    fn format(&mut self, format: &Format<'_>) {
        let schema = match format {
            Format::Text => return,
            Format::Json => None,
            Format::Schema { schema, .. } => Some(schema),
        };
        if !self.takes("responseMimeType", Feature::Format) {
            return;
        }
        self.json.key("responseMimeType").string("application/json");
        if let Some(schema) = schema
            && self.takes("responseJsonSchema", Feature::Format)
        {
            self.json.key("responseJsonSchema").raw(schema);
        }
    }

    fn thinking(&mut self, thinking: Thinking, model: &str) {
        if !self.takes("thinkingConfig", Feature::Thinking) {
            return;
        }
        self.json.key("thinkingConfig").open();
        match thinking.amount {
            Amount::Off => {
                self.json.key("thinkingBudget").unsigned(0);
            }
            Amount::Adaptive => {
                self.json.key("thinkingBudget").raw(b"-1");
            }
            Amount::BudgetTokens(tokens) => {
                self.json.key("thinkingBudget").unsigned(tokens);
            }
            Amount::Effort(effort) if counts_thoughts(model) => {
                self.json.key("thinkingBudget").unsigned(effort.budget_tokens());
            }
            Amount::Effort(effort) => {
                self.json.key("thinkingLevel").string(level(effort));
                // `XHIGH` exists, and most models refuse it.
                self.drops.note_if(Feature::Thinking, effort == Effort::Most);
            }
        }
        if let Some(shown) = thinking.shown {
            self.json.key("includeThoughts").boolean(shown);
        }
        self.json.close();
    }
}

/// Models before Gemini 3 know budgets alone; what comes after it has levels.
fn counts_thoughts(model: &str) -> bool {
    model.contains("gemini-2")
}

fn level(effort: Effort) -> &'static str {
    match effort {
        Effort::Minimal => "MINIMAL",
        Effort::Low => "LOW",
        Effort::Medium => "MEDIUM",
        Effort::High | Effort::Most => "HIGH",
    }
}
