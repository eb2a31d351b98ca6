//! What stands beside the messages: inference, tools, the answer's form, metadata.

use std::collections::BTreeSet;

use super::{
    super::{extras::Extras, reader::MAX_STOPS, vendor::Vendor},
    plan::{Plan, is_blank},
    turns::write_cache_point,
    wants,
};
use crate::{
    canonical::{
        feature::{Drops, Feature},
        request::{Format, Request, Tool, ToolChoice},
    },
    json::{Json, Node, Number, Out, Text},
    speak::TargetFacts,
};

pub(super) fn max_tokens(request: &Request<'_>, to: &TargetFacts<'_>, drops: &mut Drops) -> Option<u64> {
    let asked = request.sampling.max_tokens?;
    let most = to.quirks.most_max_tokens.unwrap_or(u64::MAX);
    drops.note_if(Feature::MaxTokens, asked > most);
    Some(asked.min(most))
}

pub(super) fn write_inference(
    request: &Request<'_>,
    to: &TargetFacts<'_>,
    max_tokens: Option<u64>,
    extras: &Extras,
    drops: &mut Drops,
    json: &mut Out<'_>,
) {
    let sampling = &request.sampling;
    let takes = to.quirks.sampling;
    // A model that thinks takes temperature 1 and a top-p from 0.95 on, and no other.
    let fits = |number: Number<'_>, least: f64| !extras.fixed_sampling || number.value() >= least;
    let temperature = sampling.temperature.filter(|it| takes && fits(*it, 1.0));
    let top_p = sampling.top_p.filter(|it| takes && fits(*it, 0.95));
    drops.note_if(Feature::Temperature, temperature != sampling.temperature);
    drops.note_if(Feature::TopP, top_p != sampling.top_p);
    let stops: Vec<&Text<'_>> = sampling
        .stop
        .iter()
        .filter(|stop| !stop.is_empty())
        .take(MAX_STOPS)
        .collect();
    drops.note_if(Feature::Stop, stops.len() != sampling.stop.len());

    if max_tokens.is_none() && temperature.is_none() && top_p.is_none() && stops.is_empty() {
        return;
    }
    if !wants(to, "inferenceConfig") {
        drops.note_if(Feature::MaxTokens, max_tokens.is_some());
        drops.note_if(Feature::Temperature, temperature.is_some());
        drops.note_if(Feature::TopP, top_p.is_some());
        drops.note_if(Feature::Stop, !stops.is_empty());
        return;
    }
    json.key("inferenceConfig").open();
    if let Some(tokens) = max_tokens {
        json.key("maxTokens").unsigned(tokens);
    }
    if let Some(number) = temperature {
        write_clamped("temperature", number, Feature::Temperature, drops, json);
    }
    if let Some(number) = top_p {
        write_clamped("topP", number, Feature::TopP, drops, json);
    }
    if stops.is_empty() {
        json.close();
        return;
    }
    json.key("stopSequences").open_list();
    for stop in stops {
        json.text(stop);
    }
    json.close_list().close();
    if !wants(to, "additionalModelResponseFieldPaths") {
        return;
    }
    // Which one it was is said only to who asks; models that do not tell leave it out.
    json.key("additionalModelResponseFieldPaths").open_list();
    json.string("/stop_sequence").close_list();
}

/// Both go from 0 to 1.
fn write_clamped(key: &str, number: Number<'_>, feature: Feature, drops: &mut Drops, json: &mut Out<'_>) {
    json.key(key);
    match number.value() {
        value if value > 1.0 => {
            drops.note(feature);
            json.unsigned(1);
        }
        value if value >= 0.0 => {
            json.number(number);
        }
        _ => {
            drops.note(feature);
            json.unsigned(0);
        }
    }
}

pub(super) fn write_tools(
    request: &Request<'_>,
    (to, vendor): (&TargetFacts<'_>, Vendor),
    plan: &Plan<'_, '_>,
    drops: &mut Drops,
    json: &mut Out<'_>,
) {
    let forbidden = request.tool_choice == Some(ToolChoice::None) || request.tools.is_empty();
    let mentioned = plan.called().next().is_some();
    if forbidden && !mentioned {
        return;
    }
    if !wants(to, "toolConfig") {
        return drops.note(Feature::Tools);
    }
    // Where messages speak of tools there must be some, and "none of them" has no word.
    drops.note_if(Feature::ToolChoice, forbidden);
    json.key("toolConfig").open().key("tools").open_list();
    for tool in &request.tools {
        write_tool(tool, (to, vendor), drops, json);
    }
    if request.tools.is_empty() {
        let names: BTreeSet<_> = plan.called().filter_map(Text::plain).collect();
        for name in &names {
            write_spec(&Text::from(&**name), None, None, false, json);
        }
    }
    json.close_list();
    match &request.tool_choice {
        None | Some(ToolChoice::None) => {}
        Some(_) if request.tools.is_empty() => {}
        Some(ToolChoice::Auto) => {
            json.key("toolChoice").open().key("auto").open().close().close();
        }
        Some(ToolChoice::Required) => {
            json.key("toolChoice").open().key("any").open().close().close();
        }
        Some(ToolChoice::Named(name)) => {
            json.key("toolChoice").open().key("tool").open();
            json.key("name").text(name).close().close();
        }
    }
    json.close();
}

fn write_tool(tool: &Tool<'_>, (to, vendor): (&TargetFacts<'_>, Vendor), drops: &mut Drops, json: &mut Out<'_>) {
    // Who takes a schema for its answer takes one for its calls.
    let strict = tool.strict == Some(true) && to.quirks.native_schema;
    drops.note_if(Feature::ToolStrict, tool.strict == Some(true) && !strict);
    let description = tool.description.as_ref().filter(|text| !is_blank(text));
    write_spec(&tool.name, description, tool.schema.as_deref(), strict, json);
    match tool.cache {
        Some(mark) if vendor.takes_cache_points() => write_cache_point(mark, json),
        mark => drops.note_if(Feature::Cache, mark.is_some()),
    }
}

fn write_spec(
    name: &Text<'_>,
    description: Option<&Text<'_>>,
    schema: Option<&[u8]>,
    strict: bool,
    json: &mut Out<'_>,
) {
    json.open().key("toolSpec").open().key("name").text(name);
    if let Some(description) = description {
        json.key("description").text(description);
    }
    json.key("inputSchema").open().key("json");
    json.raw(schema.unwrap_or(br#"{"type":"object","properties":{}}"#))
        .close();
    if strict {
        json.key("strict").boolean(true);
    }
    json.close().close();
}

pub(super) fn write_output(
    request: &Request<'_>,
    to: &TargetFacts<'_>,
    extras: &Extras,
    drops: &mut Drops,
    json: &mut Out<'_>,
) {
    let takes = wants(to, "outputConfig");
    let schema = match &request.format {
        Format::Schema { schema, .. } if to.quirks.native_schema && takes => Some(&**schema),
        Format::Text => None,
        // "Any object" has no word of its own, and a schema that says no more is refused.
        Format::Json | Format::Schema { .. } => {
            drops.note(Feature::Format);
            None
        }
    };
    let effort = extras.effort.filter(|_| takes);
    drops.note_if(Feature::Thinking, effort != extras.effort);
    if schema.is_none() && effort.is_none() {
        return;
    }
    json.key("outputConfig").open();
    if let (Some(schema), Format::Schema { name, description, .. }) = (schema, &request.format) {
        json.key("textFormat").open().key("type").string("json_schema");
        json.key("structure").open().key("jsonSchema").open();
        json.key("schema").quoted(&Json::Value(schema));
        if let Some(name) = name {
            json.key("name").text(name);
        }
        if let Some(description) = description {
            json.key("description").text(description);
        }
        json.close().close().close();
    }
    if let Some(effort) = effort {
        json.key("effort").string(effort);
    }
    json.close();
}

const MAX_METADATA: usize = 16;
const MAX_METADATA_VALUE: usize = 256;

/// Whole or not at all: the service refuses a request for one value it does not like.
pub(super) fn write_metadata(request: &Request<'_>, to: &TargetFacts<'_>, drops: &mut Drops, json: &mut Out<'_>) {
    let Some(raw) = request.metadata else { return };
    let fits = |text: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c.is_whitespace() || "_:@$#=/+,-.".contains(c);
        text.chars().count() <= MAX_METADATA_VALUE && text.chars().all(allowed)
    };
    let Ok(object) = Node::document(raw) else { return };
    let mut members = object.members();
    if members.clone().next().is_none() {
        return;
    }
    let count_fits = members.clone().nth(MAX_METADATA).is_none();
    let all_fit = members.all(|(key, value)| !key.is_empty() && fits(&key) && value.string().is_some_and(|v| fits(&v)));
    if !(count_fits && all_fit && wants(to, "requestMetadata")) {
        drops.note(Feature::Metadata);
        return;
    }
    json.key("requestMetadata").raw(object.raw());
}

pub(super) fn write_service_tier(request: &Request<'_>, to: &TargetFacts<'_>, drops: &mut Drops, json: &mut Out<'_>) {
    let Some(tier) = &request.service_tier else { return };
    let word = match tier.plain().as_deref() {
        // As the provider finds right: what it does unasked.
        Some("auto") => return,
        Some("default" | "standard" | "standard_only") => "default",
        Some("priority") => "priority",
        Some("flex") => "flex",
        Some("reserved") => "reserved",
        _ => return drops.note(Feature::ServiceTier),
    };
    if !wants(to, "serviceTier") {
        return drops.note(Feature::ServiceTier);
    }
    json.key("serviceTier").open().key("type").string(word).close();
}
