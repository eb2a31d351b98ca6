//! A request to a provider: its top level and its tools.

use super::{config_writer, turns};
use crate::{
    canonical::{
        bad::BadRequest,
        feature::{Drops, Feature},
        request::{Request, Tool, ToolChoice},
    },
    json::{Out, Text},
    speak::TargetFacts,
};

pub(super) fn write(
    request: &Request<'_>,
    to: &TargetFacts<'_>,
    drops: &mut Drops,
    out: &mut Vec<u8>,
) -> Result<(), BadRequest> {
    let may_send = |member: &str| !to.quirks.drop.iter().any(|dropped| dropped == member);
    let mut json = Out::new(out);
    json.open();
    turns::write_system(request, drops, &mut json);
    turns::write_contents(request, to, drops, &mut json)?;
    if !request.tools.is_empty() && may_send("tools") {
        json.key("tools")
            .open_list()
            .open()
            .key("functionDeclarations")
            .open_list();
        request.tools.iter().for_each(|tool| write_tool(tool, drops, &mut json));
        json.close_list().close().close_list();
        write_choice(request, drops, &mut json);
    } else {
        drops.note_if(Feature::Tools, !request.tools.is_empty());
        let asks = matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_)));
        drops.note_if(Feature::ToolChoice, asks);
    }
    config_writer::write(request, to, drops, &mut json);
    for owned in &request.owned {
        match owned.field {
            "cachedContent" => {
                json.key("cachedContent").text(&owned.id);
            }
            _ => drops.note(Feature::Owned),
        }
    }
    if let Some(tier) = &request.service_tier {
        match tier_word(tier) {
            Some(word) if may_send("serviceTier") => {
                json.key("serviceTier").string(word);
            }
            _ => drops.note_if(Feature::ServiceTier, !tier.is("auto")),
        }
    }
    json.close();
    drops.note_if(Feature::User, request.user.is_some());
    drops.note_if(Feature::Metadata, request.metadata.is_some());
    Ok(())
}

fn tier_word(tier: &Text<'_>) -> Option<&'static str> {
    match &*tier.plain()?.to_ascii_lowercase() {
        "standard" | "default" => Some("standard"),
        "flex" => Some("flex"),
        "priority" => Some("priority"),
        _ => None,
    }
}

fn write_tool(tool: &Tool<'_>, drops: &mut Drops, json: &mut Out<'_>) {
    json.open().key("name").text(&tool.name);
    if let Some(description) = &tool.description {
        json.key("description").text(description);
    }
    if let Some(schema) = &tool.schema {
        json.key("parametersJsonSchema").raw(schema);
    }
    json.close();
    drops.note_if(Feature::Cache, tool.cache.is_some());
}

fn write_choice(request: &Request<'_>, drops: &mut Drops, json: &mut Out<'_>) {
    drops.note_if(Feature::ParallelTools, request.parallel_tools == Some(false));
    let is_strict = request.tools.iter().any(|tool| tool.strict == Some(true));
    let (mode, only) = match &request.tool_choice {
        // It may call or not, and where it calls, the schema is obeyed. `ANY` has that by itself.
        None | Some(ToolChoice::Auto) if is_strict => ("VALIDATED", None),
        None => return,
        Some(ToolChoice::Auto) => ("AUTO", None),
        Some(ToolChoice::None) => ("NONE", None),
        Some(ToolChoice::Required) => ("ANY", None),
        Some(ToolChoice::Named(name)) => ("ANY", Some(name)),
    };
    json.key("toolConfig").open().key("functionCallingConfig").open();
    json.key("mode").string(mode);
    if let Some(name) = only {
        json.key("allowedFunctionNames").open_list().text(name).close_list();
    }
    json.close().close();
}
