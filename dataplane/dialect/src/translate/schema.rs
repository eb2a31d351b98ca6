//! A structured answer where the target has no such thing: a tool that the model is made to call, whose arguments are
//! the answer.

use crate::{
    canonical::request::{Format, Request, Tool, ToolChoice},
    json::Text,
};

/// The tool's name. A call of it is text on the way back.
pub const TOOL: &str = "give_answer";

/// Replaces a JSON schema for the answer by the tool; true when it did.
pub fn force(request: &mut Request<'_>) -> bool {
    let Format::Schema {
        schema, description, ..
    } = &request.format
    else {
        return false;
    };
    let usual = || Text::from("Gives the answer; call it exactly once, with the whole answer.");
    let tool = Tool {
        name: Text::from(TOOL),
        description: Some(description.clone().unwrap_or_else(usual)),
        schema: Some(schema.clone()),
        strict: None,
        cache: None,
    };
    // Beside tools of the caller's own the model chooses: either it calls one of those, or it answers.
    request.tool_choice = Some(
        match request.tools.is_empty() || matches!(request.tool_choice, Some(ToolChoice::None)) {
            true => ToolChoice::Named(Text::from(TOOL)),
            false => ToolChoice::Required,
        },
    );
    request.tools.push(tool);
    request.format = Format::Text;
    true
}
