//! Canonical → a provider's request.

mod media;
mod messages;

use crate::{
    canonical::{
        bad::BadRequest,
        feature::{Drops, Feature},
        request::{Amount, Effort, Format, Request, Sampling, Thinking, Tool, ToolChoice},
    },
    json::{Number, Out, Text},
    quirks::{MaxTokensField, Quirks},
    speak::TargetFacts,
};

/// Stop sequences that OpenAI takes.
const MAX_STOPS: usize = 4;
/// Likeliest tokens at each place that OpenAI gives.
const MAX_TOP_LOGPROBS: u64 = 20;
/// A schema must have a name, and not every dialect gives it one.
const SCHEMA_NAME: &str = "answer";

/// A request being written.
struct Writing<'w> {
    json: Out<'w>,
    drops: &'w mut Drops,
    quirks: &'w Quirks,
}

pub(super) fn write(
    request: &Request<'_>,
    to: &TargetFacts<'_>,
    drops: &mut Drops,
    out: &mut Vec<u8>,
) -> Result<(), BadRequest> {
    let json = Out::new(out);
    let quirks = to.quirks;
    let mut writing = Writing { json, drops, quirks };
    writing.json.open().key("model").string(to.model);
    writing.messages(request)?;
    writing.stream(request);
    writing.tools(request);
    writing.format(&request.format);
    writing.limits(&request.sampling);
    writing.sampling(&request.sampling);
    writing.logprobs(&request.sampling);
    writing.thinking(request.thinking);
    writing.account(request);
    writing.json.close();
    Ok(())
}

/// What a number may be, and what it is where nobody says.
struct Range {
    least: (f64, &'static [u8]),
    most: (f64, &'static [u8]),
    default: f64,
}

const TEMPERATURE: Range = Range {
    least: (0.0, b"0"),
    most: (2.0, b"2"),
    default: 1.0,
};
const SHARE: Range = Range {
    least: (0.0, b"0"),
    most: (1.0, b"1"),
    default: 1.0,
};
const PENALTY: Range = Range {
    least: (-2.0, b"-2"),
    most: (2.0, b"2"),
    default: 0.0,
};

impl Writing<'_> {
    /// Begins a member; false, and the loss is noted, where the target does not take it.
    fn member(&mut self, name: &str, feature: Feature) -> bool {
        if self.quirks.drop.iter().any(|dropped| dropped == name) {
            self.drops.note(feature);
            return false;
        }
        self.json.key(name);
        true
    }

    fn stream(&mut self, request: &Request<'_>) {
        if !request.stream {
            return;
        }
        self.json.key("stream").boolean(true);
        // Asked for whether the client did or not: calls are metered by it.
        let dropped = self.quirks.drop.iter().any(|dropped| dropped == "stream_options");
        if self.quirks.stream_usage && !dropped {
            self.json.key("stream_options").open();
            self.json.key("include_usage").boolean(true).close();
        }
    }

    fn tools(&mut self, request: &Request<'_>) {
        let forced = matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_)));
        if request.tools.is_empty() {
            // What is said of tools is refused where there are none; that one must be called is then impossible.
            self.drops.note_if(Feature::ToolChoice, forced);
            return;
        }
        if !self.member("tools", Feature::Tools) {
            return;
        }
        self.json.open_list();
        for tool in &request.tools {
            self.tool(tool);
        }
        self.json.close_list();
        if let Some(choice) = &request.tool_choice
            && self.member("tool_choice", Feature::ToolChoice)
        {
            self.tool_choice(choice);
        }
        if let Some(parallel) = request.parallel_tools
            && self.member("parallel_tool_calls", Feature::ParallelTools)
        {
            self.json.boolean(parallel);
        }
    }

    fn tool(&mut self, tool: &Tool<'_>) {
        self.drops.note_if(Feature::Cache, tool.cache.is_some());
        self.json.open().key("type").string("function");
        self.json.key("function").open();
        self.json.key("name").text(&tool.name);
        if let Some(description) = &tool.description {
            self.json.key("description").text(description);
        }
        if let Some(schema) = &tool.schema {
            self.json.key("parameters").raw(schema);
        }
        if let Some(strict) = tool.strict {
            self.json.key("strict").boolean(strict);
        }
        self.json.close().close();
    }

    fn tool_choice(&mut self, choice: &ToolChoice<'_>) {
        match choice {
            ToolChoice::Auto => self.json.string("auto"),
            ToolChoice::None => self.json.string("none"),
            ToolChoice::Required => self.json.string("required"),
            ToolChoice::Named(name) => {
                self.json.open().key("type").string("function");
                self.json.key("function").open();
                self.json.key("name").text(name).close().close()
            }
        };
    }

    fn format(&mut self, format: &Format<'_>) {
        if *format == Format::Text || !self.member("response_format", Feature::Format) {
            return;
        }
        self.json.open().key("type");
        match format {
            Format::Text | Format::Json => {
                self.json.string("json_object");
            }
            Format::Schema {
                name,
                description,
                schema,
                strict,
            } => {
                self.json.string("json_schema").key("json_schema").open();
                self.json
                    .key("name")
                    .text(name.as_ref().unwrap_or(&Text::from(SCHEMA_NAME)));
                if let Some(description) = description {
                    self.json.key("description").text(description);
                }
                self.json.key("schema").raw(schema);
                if let Some(strict) = strict {
                    self.json.key("strict").boolean(*strict);
                }
                self.json.close();
            }
        }
        self.json.close();
    }

    fn limits(&mut self, sampling: &Sampling<'_>) {
        let name = match self.quirks.max_tokens_field {
            MaxTokensField::MaxTokens => "max_tokens",
            MaxTokensField::MaxCompletionTokens => "max_completion_tokens",
        };
        if let Some(asked) = sampling.max_tokens
            && self.member(name, Feature::MaxTokens)
        {
            let most = self.quirks.most_max_tokens.unwrap_or(u64::MAX);
            self.drops.note_if(Feature::MaxTokens, asked > most);
            self.json.unsigned(asked.min(most));
        }
        if !sampling.stop.is_empty() && self.member("stop", Feature::Stop) {
            self.drops.note_if(Feature::Stop, sampling.stop.len() > MAX_STOPS);
            self.json.open_list();
            for text in sampling.stop.iter().take(MAX_STOPS) {
                self.json.text(text);
            }
            self.json.close_list();
        }
        if let Some(n) = sampling.n
            && self.member("n", Feature::N)
        {
            self.json.unsigned(n);
        }
        if let Some(seed) = sampling.seed
            && self.member("seed", Feature::Seed)
        {
            self.json.number(seed);
        }
    }

    fn sampling(&mut self, sampling: &Sampling<'_>) {
        let numbers = [
            ("temperature", sampling.temperature, Feature::Temperature, TEMPERATURE),
            ("top_p", sampling.top_p, Feature::TopP, SHARE),
            (
                "frequency_penalty",
                sampling.frequency_penalty,
                Feature::FrequencyPenalty,
                PENALTY,
            ),
            (
                "presence_penalty",
                sampling.presence_penalty,
                Feature::PresencePenalty,
                PENALTY,
            ),
        ];
        for (name, number, feature, range) in numbers {
            if let Some(number) = number {
                self.sampling_number(name, number, feature, &range);
            }
        }
        // Servers that take it are compatible with more than this dialect.
        self.drops.note_if(Feature::TopK, sampling.top_k.is_some());
    }

    fn sampling_number(&mut self, name: &str, number: Number<'_>, feature: Feature, range: &Range) {
        let value = number.value();
        if !self.quirks.sampling {
            self.drops.note_if(feature, value != range.default);
            return;
        }
        if !self.member(name, feature) {
            return;
        }
        let ((least, least_text), (most, most_text)) = (range.least, range.most);
        let text = match value {
            _ if value < least => least_text,
            _ if value > most => most_text,
            _ => number.raw(),
        };
        self.drops.note_if(feature, value < least || value > most);
        self.json.raw(text);
    }

    fn logprobs(&mut self, sampling: &Sampling<'_>) {
        let takes = self.quirks.sampling;
        if let Some(wanted) = sampling.logprobs {
            if !takes {
                self.drops.note_if(Feature::Logprobs, wanted);
            } else if self.member("logprobs", Feature::Logprobs) {
                self.json.boolean(wanted);
            }
        }
        if let Some(wanted) = sampling.top_logprobs {
            if !takes {
                self.drops.note_if(Feature::TopLogprobs, wanted > 0);
            } else if self.member("top_logprobs", Feature::TopLogprobs) {
                self.drops.note_if(Feature::TopLogprobs, wanted > MAX_TOP_LOGPROBS);
                self.json.unsigned(wanted.min(MAX_TOP_LOGPROBS));
            }
        }
        if let Some(bias) = sampling.logit_bias {
            if !takes {
                self.drops.note(Feature::LogitBias);
            } else if self.member("logit_bias", Feature::LogitBias) {
                self.json.raw(bias);
            }
        }
    }

    fn thinking(&mut self, thinking: Option<Thinking>) {
        let Some(Thinking { amount, shown }) = thinking else {
            return;
        };
        // Whether thoughts are shown is not the caller's to say here.
        self.drops.note_if(Feature::Thinking, shown == Some(true));
        let word = match amount {
            // As much as it finds right is what a model does that is not told.
            Amount::Adaptive => return,
            Amount::Off | Amount::BudgetTokens(0) => "none",
            Amount::BudgetTokens(tokens) => word(Effort::of_budget_tokens(tokens)),
            Amount::Effort(effort) => word(effort),
        };
        if self.member("reasoning_effort", Feature::Thinking) {
            self.json.string(word);
        }
    }

    fn account(&mut self, request: &Request<'_>) {
        if let Some(user) = &request.user
            && self.member("user", Feature::User)
        {
            self.json.text(user);
        }
        if let Some(tier) = &request.service_tier {
            let known = ["default", "flex", "scale", "priority", "fast"];
            if !known.iter().any(|word| tier.is(word)) {
                self.drops.note(Feature::ServiceTier);
            } else if self.member("service_tier", Feature::ServiceTier) {
                self.json.text(tier);
            }
        }
        // OpenAI takes it only with `store`, and to have the answer stored is not ours to ask for.
        self.drops.note_if(Feature::Metadata, request.metadata.is_some());
    }
}

fn word(effort: Effort) -> &'static str {
    match effort {
        Effort::Minimal => "minimal",
        Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::Most => "xhigh",
    }
}
