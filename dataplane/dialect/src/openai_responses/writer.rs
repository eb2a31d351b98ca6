//! A request to a provider.

mod input;

use std::collections::BTreeSet;

use crate::{
    canonical::{
        bad::BadRequest,
        feature::{Drops, Feature},
        request::{Amount, Content, Effort, Format, Request, Role, Sampling, Thinking, Tool, ToolChoice},
    },
    json::{Number, Out, Text},
    quirks::Quirks,
    speak::TargetFacts,
};

/// The API refuses a smaller `max_output_tokens`.
const LEAST_OUTPUT_TOKENS: u64 = 16;
/// Values of `service_tier`; other dialects have other tiers.
const TIERS: [&str; 7] = ["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"];

/// One request on its way out.
struct Writer<'w> {
    out: Out<'w>,
    drops: &'w mut Drops,
    quirks: &'w Quirks,
    /// Ids of the calls so far.
    calls: BTreeSet<String>,
    /// It names something that the provider keeps.
    is_continued: bool,
}

pub(super) fn write(
    request: &Request<'_>,
    to: &TargetFacts<'_>,
    drops: &mut Drops,
    out: &mut Vec<u8>,
) -> Result<(), BadRequest> {
    let mut writer = Writer {
        out: Out::new(out),
        drops,
        quirks: to.quirks,
        calls: BTreeSet::new(),
        is_continued: !request.owned.is_empty(),
    };
    writer.out.open().key("model").string(to.model);
    if request.stream {
        writer.out.key("stream").boolean(true);
    }
    writer.owned(request);
    writer.input(request)?;
    writer.tools(&request.tools);
    writer.tool_choice(request);
    writer.format(&request.format);
    writer.sampling(&request.sampling);
    writer.thinking(request.thinking);
    writer.include(request);
    writer.rest(request);
    writer.out.close();
    Ok(())
}

impl<'w> Writer<'w> {
    /// Writes the key unless the target never gets this member.
    fn begin(&mut self, name: &str, feature: Feature) -> Option<&mut Out<'w>> {
        if self.never_sent(name) {
            self.drops.note(feature);
            return None;
        }
        Some(self.out.key(name))
    }

    fn never_sent(&self, name: &str) -> bool {
        self.quirks.drop.iter().any(|dropped| dropped == name)
    }

    fn owned(&mut self, request: &Request<'_>) {
        for owned in &request.owned {
            match owned.field {
                "previous_response_id" | "conversation" => {
                    if let Some(out) = self.begin(owned.field, Feature::Owned) {
                        out.text(&owned.id);
                    }
                }
                "prompt" => {
                    if let Some(out) = self.begin(owned.field, Feature::Owned) {
                        out.open().key("id").text(&owned.id).close();
                    }
                }
                // It stands in its part.
                "file_id" => {}
                // Among them `item_reference`: where it stood is not known any more.
                _ => self.drops.note(Feature::Owned),
            }
        }
        // Nothing but such a name makes a call depend on what the provider keeps.
        if !self.is_continued && !self.never_sent("store") {
            self.out.key("store").boolean(false);
        }
    }

    fn tools(&mut self, tools: &[Tool<'_>]) {
        if tools.is_empty() {
            return;
        }
        self.drops
            .note_if(Feature::Cache, tools.iter().any(|tool| tool.cache.is_some()));
        let Some(out) = self.begin("tools", Feature::Tools) else {
            return;
        };
        out.open_list();
        for tool in tools {
            out.open().key("type").string("function").key("name").text(&tool.name);
            if let Some(description) = &tool.description {
                out.key("description").text(description);
            }
            out.key("parameters");
            match &tool.schema {
                Some(schema) => out.raw(schema),
                None => out.null(),
            };
            // Absent would be true here, and the schema changed to be strict; everywhere else absent is false.
            out.key("strict").boolean(tool.strict.unwrap_or(false)).close();
        }
        out.close_list();
    }

    fn tool_choice(&mut self, request: &Request<'_>) {
        if let Some(choice) = &request.tool_choice
            && let Some(out) = self.begin("tool_choice", Feature::ToolChoice)
        {
            match choice {
                ToolChoice::Auto => out.string("auto"),
                ToolChoice::None => out.string("none"),
                ToolChoice::Required => out.string("required"),
                ToolChoice::Named(name) => out.open().key("type").string("function").key("name").text(name).close(),
            };
        }
        if let Some(parallel) = request.parallel_tools
            && let Some(out) = self.begin("parallel_tool_calls", Feature::ParallelTools)
        {
            out.boolean(parallel);
        }
    }

    fn format(&mut self, format: &Format<'_>) {
        if *format == Format::Text {
            return;
        }
        let Some(out) = self.begin("text", Feature::Format) else {
            return;
        };
        out.open().key("format").open().key("type");
        match format {
            Format::Text => out.string("text"),
            Format::Json => out.string("json_object"),
            Format::Schema {
                name,
                description,
                schema,
                strict,
            } => {
                let unnamed = Text::from("answer");
                out.string("json_schema")
                    .key("name")
                    .text(name.as_ref().unwrap_or(&unnamed));
                if let Some(description) = description {
                    out.key("description").text(description);
                }
                if let Some(strict) = strict {
                    out.key("strict").boolean(*strict);
                }
                out.key("schema").raw(schema)
            }
        };
        out.close().close();
    }

    fn sampling(&mut self, sampling: &Sampling<'_>) {
        self.max_tokens(sampling.max_tokens);
        self.measure("temperature", Feature::Temperature, sampling.temperature);
        self.measure("top_p", Feature::TopP, sampling.top_p);
        let nonzero = |number: Option<Number<'_>>| number.is_some_and(|number| number.value() != 0.0);
        for (feature, lost) in [
            (Feature::TopK, sampling.top_k.is_some()),
            (Feature::FrequencyPenalty, nonzero(sampling.frequency_penalty)),
            (Feature::PresencePenalty, nonzero(sampling.presence_penalty)),
            (Feature::Seed, sampling.seed.is_some()),
            (Feature::Stop, !sampling.stop.is_empty()),
            (Feature::N, sampling.n.is_some_and(|n| n > 1)),
            (
                Feature::LogitBias,
                sampling.logit_bias.is_some_and(|bias| bias != b"{}"),
            ),
        ] {
            self.drops.note_if(feature, lost);
        }
        if let Some(top) = sampling.top_logprobs {
            if !self.quirks.sampling {
                self.drops.note_if(Feature::TopLogprobs, top > 0);
            } else if let Some(out) = self.begin("top_logprobs", Feature::TopLogprobs) {
                out.unsigned(top);
            }
        }
    }

    fn max_tokens(&mut self, asked: Option<u64>) {
        let Some(asked) = asked else { return };
        let most = self.quirks.most_max_tokens.unwrap_or(u64::MAX);
        let given = asked.max(LEAST_OUTPUT_TOKENS).min(most);
        self.drops.note_if(Feature::MaxTokens, given != asked);
        if let Some(out) = self.begin("max_output_tokens", Feature::MaxTokens) {
            out.unsigned(given);
        }
    }

    /// A number that only models without reasoning take; 1 is what all of them have anyway.
    fn measure(&mut self, name: &str, feature: Feature, number: Option<Number<'_>>) {
        let Some(number) = number else { return };
        if !self.quirks.sampling {
            self.drops.note_if(feature, number.value() != 1.0);
        } else if let Some(out) = self.begin(name, feature) {
            out.number(number);
        }
    }

    fn thinking(&mut self, thinking: Option<Thinking>) {
        let Some(thinking) = thinking else { return };
        let effort = match thinking.amount {
            Amount::Off => Some("none"),
            Amount::Adaptive => None,
            Amount::BudgetTokens(tokens) => Some(word(Effort::of_budget_tokens(tokens))),
            Amount::Effort(effort) => Some(word(effort)),
        };
        let shown = thinking.shown == Some(true);
        if effort.is_none() && !shown {
            return;
        }
        let Some(out) = self.begin("reasoning", Feature::Thinking) else {
            return;
        };
        out.open();
        if let Some(effort) = effort {
            out.key("effort").string(effort);
        }
        if shown {
            out.key("summary").string("auto");
        }
        out.close();
    }

    fn include(&mut self, request: &Request<'_>) {
        let asked = request.sampling.logprobs == Some(true);
        let logprobs = asked && self.quirks.sampling && !self.never_sent("include");
        self.drops.note_if(Feature::Logprobs, asked && !logprobs);
        let sealed = reasons(request, self.quirks) && !self.never_sent("include");
        if !logprobs && !sealed {
            return;
        }
        self.out.key("include").open_list();
        if sealed {
            self.out.string("reasoning.encrypted_content");
        }
        if logprobs {
            self.out.string("message.output_text.logprobs");
        }
        self.out.close_list();
    }

    fn rest(&mut self, request: &Request<'_>) {
        if let Some(user) = &request.user
            && let Some(out) = self.begin("user", Feature::User)
        {
            out.text(user);
        }
        if let Some(metadata) = request.metadata
            && let Some(out) = self.begin("metadata", Feature::Metadata)
        {
            out.raw(metadata);
        }
        let Some(tier) = &request.service_tier else { return };
        if !TIERS.iter().any(|known| tier.is(known)) {
            self.drops.note(Feature::ServiceTier);
        } else if let Some(out) = self.begin("service_tier", Feature::ServiceTier) {
            out.text(tier);
        }
    }
}

/// Will there be reasoning to seal? Models without it refuse to be asked for it.
fn reasons(request: &Request<'_>, quirks: &Quirks) -> bool {
    let wanted = request.thinking.map(|thinking| thinking.amount != Amount::Off);
    let had = || {
        request
            .turns
            .iter()
            .filter(|turn| turn.role == Role::Assistant)
            .flat_map(|turn| &turn.parts)
            .any(|part| matches!(part.content, Content::Sealed { .. }))
    };
    wanted.unwrap_or(!quirks.sampling) || had()
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
