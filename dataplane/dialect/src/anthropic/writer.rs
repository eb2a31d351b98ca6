//! A request to the provider, written.

use crate::{
    canonical::{
        bad::BadRequest,
        feature::{Drops, Feature},
        request::{Effort, Format, Request, Thinking},
    },
    json::{Number, Out, Text},
    speak::TargetFacts,
};

use super::{
    document::FILE_FIELD,
    plan::{self, Form, Plan},
    tools,
    turns::{self, Marks},
};

pub(super) fn write(
    request: &Request<'_>,
    to: &TargetFacts<'_>,
    drops: &mut Drops,
    out: &mut Vec<u8>,
) -> Result<(), BadRequest> {
    let arranged = turns::arrange(request, to, drops)?;
    let plan = plan::make(request, to, arranged.is_prefilled(), drops);
    let marked_tools = request.tools.iter().filter(|tool| tool.cache.is_some()).count();
    let mut marks = Marks::new(marked_tools + arranged.marks(), drops);
    note_lost(request, drops);
    let sends = |name: &str| !to.quirks.drop.iter().any(|drop| drop == name);

    let mut json = Out::new(out);
    json.open().key("model").string(to.model);
    json.key("max_tokens").unsigned(plan.max_tokens);
    if request.stream {
        json.key("stream").boolean(true);
    }
    // Before the turns: marks are counted in the order that the provider reads them, tools first.
    match sends("tools") {
        true => tools::write(request, &mut marks, drops, &mut json),
        false => drops.note_if(Feature::Tools, !request.tools.is_empty()),
    }
    arranged.write_system(&mut marks, &mut json);
    arranged.write_messages(&mut marks, drops, &mut json);
    if let Some(form) = plan.thinking {
        write_thinking(form, request.thinking, &mut json);
    }
    write_output(request, &plan, to, drops, &mut json);
    write_sampling(request, &plan, to, drops, &mut json);
    if let Some(user) = &request.user {
        match sends("metadata") {
            true => {
                json.key("metadata").open().key("user_id").text(user).close();
            }
            false => drops.note(Feature::User),
        }
    }
    if let Some(tier) = &request.service_tier {
        match service_tier(tier).filter(|_| sends("service_tier")) {
            Some(tier) => {
                json.key("service_tier").string(tier);
            }
            None => drops.note(Feature::ServiceTier),
        }
    }
    json.close();
    Ok(())
}

/// What this dialect has no member for.
fn note_lost(request: &Request<'_>, drops: &mut Drops) {
    let sampling = &request.sampling;
    let asks = |number: Option<Number<'_>>| number.is_some_and(|number| number.value() != 0.0);
    drops.note_if(Feature::FrequencyPenalty, asks(sampling.frequency_penalty));
    drops.note_if(Feature::PresencePenalty, asks(sampling.presence_penalty));
    drops.note_if(Feature::Seed, sampling.seed.is_some());
    drops.note_if(Feature::N, sampling.n.is_some_and(|n| n > 1));
    drops.note_if(Feature::Logprobs, sampling.logprobs == Some(true));
    drops.note_if(Feature::TopLogprobs, sampling.top_logprobs.is_some_and(|top| top > 0));
    drops.note_if(Feature::LogitBias, sampling.logit_bias.is_some());
    drops.note_if(Feature::Metadata, request.metadata.is_some());
    drops.note_if(
        Feature::Owned,
        request.owned.iter().any(|owned| owned.field != FILE_FIELD),
    );
}

fn write_thinking(form: Form, asked: Option<Thinking>, json: &mut Out<'_>) {
    json.key("thinking").open().key("type");
    match form {
        Form::Off => json.string("disabled"),
        Form::Adaptive => json.string("adaptive"),
        Form::Budget(tokens) => json.string("enabled").key("budget_tokens").unsigned(tokens),
    };
    if let (Some(shown), false) = (asked.and_then(|asked| asked.shown), form == Form::Off) {
        json.key("display").string(if shown { "summarized" } else { "omitted" });
    }
    json.close();
}

fn write_output(request: &Request<'_>, plan: &Plan<'_>, to: &TargetFacts<'_>, drops: &mut Drops, json: &mut Out<'_>) {
    let sends = !to.quirks.drop.iter().any(|drop| drop == "output_config");
    let schema = match &request.format {
        Format::Schema { schema, .. } if to.quirks.native_schema && sends => Some(schema),
        Format::Text => None,
        _ => {
            drops.note(Feature::Format);
            None
        }
    };
    if schema.is_none() && plan.effort.is_none() {
        return;
    }
    json.key("output_config").open();
    if let Some(effort) = plan.effort {
        json.key("effort").string(match effort {
            Effort::Minimal | Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High => "high",
            Effort::Most => "max",
        });
    }
    if let Some(schema) = schema {
        json.key("format")
            .open()
            .key("type")
            .string("json_schema")
            .key("schema")
            .raw(schema)
            .close();
    }
    json.close();
}

fn write_sampling(request: &Request<'_>, plan: &Plan<'_>, to: &TargetFacts<'_>, drops: &mut Drops, json: &mut Out<'_>) {
    let sends = |name: &str| !to.quirks.drop.iter().any(|drop| drop == name);
    let numbers = [
        ("temperature", plan.temperature, Feature::Temperature),
        ("top_p", plan.top_p, Feature::TopP),
    ];
    for (name, number, feature) in numbers {
        match number {
            Some(number) if sends(name) => {
                json.key(name).raw(number);
            }
            number => drops.note_if(feature, number.is_some()),
        }
    }
    match plan.top_k {
        Some(top_k) if sends("top_k") => {
            json.key("top_k").unsigned(top_k);
        }
        top_k => drops.note_if(Feature::TopK, top_k.is_some()),
    }
    // A sequence of white space alone is refused.
    let solid = |stop: &&Text<'_>| stop.plain().is_some_and(|stop| !stop.trim().is_empty());
    let kept: Vec<&Text<'_>> = request.sampling.stop.iter().filter(solid).collect();
    drops.note_if(Feature::Stop, kept.len() < request.sampling.stop.len());
    if kept.is_empty() {
        return;
    }
    if !sends("stop_sequences") {
        drops.note(Feature::Stop);
        return;
    }
    json.key("stop_sequences").open_list();
    for stop in kept {
        json.text(stop);
    }
    json.close_list();
}

/// Anthropic has two words: with priority capacity where there is some, and without.
fn service_tier(asked: &Text<'_>) -> Option<&'static str> {
    match asked.plain()?.as_ref() {
        "auto" => Some("auto"),
        "standard_only" | "default" => Some("standard_only"),
        _ => None,
    }
}
