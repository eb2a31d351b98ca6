//! `tools` and `toolConfig` of a client's request.

use super::{
    loose::{Path, camel, each, fields, once, text, word},
    schema,
};
use crate::{
    canonical::{
        bad::BadRequest,
        request::{Request, Tool, ToolChoice},
    },
    json::{Node, Text},
};

const MAX_TOOLS: usize = 4_096;

pub(super) fn read<'a>(tools: Node<'a>, path: &Path<'_>, request: &mut Request<'a>) -> Result<(), BadRequest> {
    for (index, tool) in each(tools).enumerate() {
        let path = path.element(index);
        for (name, value) in fields(tool, &path)? {
            let at = path.member(&name);
            match &*camel(&name) {
                "functionDeclarations" => read_declarations(value, &at, request)?,
                // Google's own tools: search, code execution, maps.
                _ => at.is_unread(&mut request.unread),
            }
        }
    }
    Ok(())
}

fn read_declarations<'a>(list: Node<'a>, path: &Path<'_>, request: &mut Request<'a>) -> Result<(), BadRequest> {
    for (index, declaration) in each(list).enumerate() {
        if request.tools.len() == MAX_TOOLS {
            return Err(path.wrong(format!("has more than {MAX_TOOLS} elements"), list));
        }
        let tool = read_declaration(declaration, &path.element(index), request)?;
        request.tools.push(tool);
    }
    Ok(())
}

fn read_declaration<'a>(
    declaration: Node<'a>,
    path: &Path<'_>,
    request: &mut Request<'a>,
) -> Result<Tool<'a>, BadRequest> {
    let (mut tool_name, mut description, mut schema) = (None, None, None);
    for (name, value) in fields(declaration, path)? {
        let at = &path.member(&name);
        match &*camel(&name) {
            "name" => once(&mut tool_name, text(value, at)?, at, value)?,
            "description" => once(&mut description, text(value, at)?, at, value)?,
            "parameters" => once(&mut schema, schema::to_json_schema(value, at)?, at, value)?,
            "parametersJsonSchema" if value.is_object() => once(&mut schema, value.raw().into(), at, value)?,
            "parametersJsonSchema" => return Err(at.wrong("must be an object", value)),
            "behavior" if value.is("UNSPECIFIED") || value.is("BLOCKING") => {}
            _ => at.is_unread(&mut request.unread),
        }
    }
    Ok(Tool {
        name: named(tool_name, declaration, path)?,
        description,
        schema,
        strict: None,
        cache: None,
    })
}

/// A name that must be there and say something.
pub(super) fn named<'a>(name: Option<Text<'a>>, of: Node<'a>, path: &Path<'_>) -> Result<Text<'a>, BadRequest> {
    match name {
        Some(name) if !name.is_empty() => Ok(name),
        _ => Err(path.wrong("needs a name", of)),
    }
}

pub(super) fn read_config<'a>(config: Node<'a>, path: &Path<'_>, request: &mut Request<'a>) -> Result<(), BadRequest> {
    let mut calling = None;
    for (name, value) in fields(config, path)? {
        let at = &path.member(&name);
        match &*camel(&name) {
            "functionCallingConfig" => {
                once(&mut calling, (), at, value)?;
                read_calling(value, at, request)?;
            }
            "includeServerSideToolInvocations" if value.boolean() == Some(false) => {}
            _ => at.is_unread(&mut request.unread),
        }
    }
    Ok(())
}

fn read_calling<'a>(config: Node<'a>, path: &Path<'_>, request: &mut Request<'a>) -> Result<(), BadRequest> {
    let (mut mode, mut allowed) = (None, None);
    for (name, value) in fields(config, path)? {
        let at = &path.member(&name);
        match &*camel(&name) {
            "mode" => once(&mut mode, (word(value, at)?, value), at, value)?,
            "allowedFunctionNames" => once(&mut allowed, allowed_names(value, at)?, at, value)?,
            "streamFunctionCallArguments" if value.boolean() == Some(false) => {}
            _ => at.is_unread(&mut request.unread),
        }
    }
    let allowed: Vec<Text<'a>> = allowed.unwrap_or_default();
    let only = match &allowed[..] {
        [only] => Some(only.clone()),
        _ => None,
    };
    let mut names_are_unread = !allowed.is_empty();
    let mode_path = path.member("mode");
    request.tool_choice = match mode.as_ref().map(|(mode, node)| (&**mode, *node)) {
        None | Some(("MODE_UNSPECIFIED", _)) => None,
        Some(("AUTO", _)) => Some(ToolChoice::Auto),
        Some(("NONE", _)) => Some(ToolChoice::None),
        Some(("ANY", _)) => {
            names_are_unread &= only.is_none();
            Some(only.map_or(ToolChoice::Required, ToolChoice::Named))
        }
        // It promises arguments that obey the schema, which nothing here can ask for without knowing the schema strict.
        Some(("VALIDATED", _)) => {
            mode_path.is_unread(&mut request.unread);
            Some(ToolChoice::Auto)
        }
        Some((_, node)) => return Err(mode_path.wrong("must be AUTO, ANY, NONE or VALIDATED", node)),
    };
    if names_are_unread {
        path.member("allowedFunctionNames").is_unread(&mut request.unread);
    }
    Ok(())
}

fn allowed_names<'a>(list: Node<'a>, path: &Path<'_>) -> Result<Vec<Text<'a>>, BadRequest> {
    let mut names = Vec::new();
    for (index, name) in each(list).enumerate() {
        if index == MAX_TOOLS {
            return Err(path.wrong(format!("has more than {MAX_TOOLS} elements"), list));
        }
        names.push(text(name, &path.element(index))?);
    }
    Ok(names)
}
