//! Content blocks of a client's request, read into parts.

use crate::{
    canonical::{
        bad::BadRequest,
        request::{Content, Part},
    },
    json::Node,
};

use super::{
    carried,
    path::{Path, says_nothing},
    reader::Reader,
};

/// Whose content it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    System,
    User,
    Assistant,
    ToolResult,
}

impl<'a> Reader<'a> {
    /// A `content` (or `system`): a string, or a list of blocks.
    pub(super) fn parts(
        &mut self,
        content: Node<'a>,
        path: &Path<'_>,
        place: Place,
    ) -> Result<Vec<Part<'a>>, BadRequest> {
        if let Some(text) = content.text() {
            return Ok(vec![Part::text(text)]);
        }
        if !content.is_array() {
            return Err(path.wrong("must be a string or a list of content blocks", content));
        }
        let mut parts = Vec::new();
        for (position, block) in content.elements().enumerate() {
            self.block(block, &path.element(position), place, &mut parts)?;
        }
        Ok(parts)
    }

    fn block(
        &mut self,
        node: Node<'a>,
        path: &Path<'_>,
        place: Place,
        parts: &mut Vec<Part<'a>>,
    ) -> Result<(), BadRequest> {
        use Place::{Assistant, ToolResult, User};
        let kind = path.required("type", node.get("type"))?;
        let kind = path.member("type").word(kind)?;
        match (kind.as_ref(), place) {
            ("text", _) => parts.push(self.text(node, path)?),
            ("image", User | ToolResult) => parts.push(self.image(node, path)?),
            ("document", User | ToolResult) => self.document(node, path, parts)?,
            ("search_result", User | ToolResult) => parts.push(self.search_result(node, path)?),
            ("tool_result", User) => parts.push(self.tool_result(node, path)?),
            ("tool_use", Assistant) => parts.push(self.tool_use(node, path)?),
            ("thinking", Assistant) => parts.push(self.thought(node, path)?),
            ("redacted_thinking", Assistant) => self.sealed(node, path, parts)?,
            ("image" | "document" | "search_result", _) => {
                return Err(path.wrong("stands only in messages of the user and in tool results", node));
            }
            ("tool_result", _) => return Err(path.wrong("stands only in messages of the user", node)),
            ("tool_use" | "thinking" | "redacted_thinking", _) => {
                return Err(path.wrong("stands only in messages of the assistant", node));
            }
            // What the provider's own tools asked and found, and what is newer than this reader.
            _ => self.unread.note(path),
        }
        Ok(())
    }

    fn text(&mut self, node: Node<'a>, path: &Path<'_>) -> Result<Part<'a>, BadRequest> {
        let known = ["type", "text", "cache_control", "citations"];
        let [_, text, cache, citations] = self.unread.members(node, path, known)?;
        let text = path.required("text", text)?;
        // Where an earlier answer's words came from.
        self.unread.note_if(
            &path.member("citations"),
            citations.is_some_and(|node| !says_nothing(node)),
        );
        let text = path.member("text").text(text)?;
        Ok(Part {
            cache: self.cache(cache, path)?,
            ..Part::text(text)
        })
    }

    fn tool_use(&mut self, node: Node<'a>, path: &Path<'_>) -> Result<Part<'a>, BadRequest> {
        let known = ["type", "id", "name", "input", "cache_control", "caller", "toolset_name"];
        let [_, id, name, input, cache, caller, toolset] = self.unread.members(node, path, known)?;
        let (id, name) = (path.required("id", id)?, path.required("name", name)?);
        let input = path.required("input", input)?;
        if !input.is_object() {
            return Err(path.member("input").wrong("must be an object", input));
        }
        let direct = |caller: Node<'_>| caller.get("type").is_some_and(|kind| kind.is("direct"));
        self.unread
            .note_if(&path.member("caller"), caller.is_some_and(|node| !direct(node)));
        self.unread.note_if(&path.member("toolset_name"), toolset.is_some());
        let content = Content::ToolCall {
            id: Some(path.member("id").name(id)?),
            name: path.member("name").name(name)?,
            arguments: input.json(),
        };
        Ok(Part {
            cache: self.cache(cache, path)?,
            ..Part::new(content)
        })
    }

    fn tool_result(&mut self, node: Node<'a>, path: &Path<'_>) -> Result<Part<'a>, BadRequest> {
        let known = [
            "type",
            "tool_use_id",
            "content",
            "is_error",
            "cache_control",
            "toolset_name",
        ];
        let [_, id, content, is_error, cache, toolset] = self.unread.members(node, path, known)?;
        let id = path.required("tool_use_id", id)?;
        self.unread.note_if(&path.member("toolset_name"), toolset.is_some());
        let parts = match content {
            Some(content) => self.parts(content, &path.member("content"), Place::ToolResult)?,
            None => Vec::new(),
        };
        let is_error = is_error.map(|node| path.member("is_error").boolean(node)).transpose()?;
        let content = Content::ToolResult {
            call_id: Some(path.member("tool_use_id").name(id)?),
            name: None,
            parts,
            is_error: is_error == Some(true),
        };
        Ok(Part {
            cache: self.cache(cache, path)?,
            ..Part::new(content)
        })
    }

    fn thought(&mut self, node: Node<'a>, path: &Path<'_>) -> Result<Part<'a>, BadRequest> {
        let [_, text, signature] = self.unread.members(node, path, ["type", "thinking", "signature"])?;
        let text = path.required("thinking", text)?;
        let signature = signature
            .map(|node| path.member("signature").text(node))
            .transpose()?
            .filter(|signature| !signature.is_empty());
        let content = Content::Thinking(path.member("thinking").text(text)?);
        Ok(Part {
            signature,
            ..Part::new(content)
        })
    }

    fn sealed(&mut self, node: Node<'a>, path: &Path<'_>, parts: &mut Vec<Part<'a>>) -> Result<(), BadRequest> {
        let [_, data] = self.unread.members(node, path, ["type", "data"])?;
        let data = path.required("data", data)?;
        let data = path.member("data").text(data)?;
        if !carried::put_back(&data, parts) {
            parts.push(Part::new(Content::Sealed { data, id: None }));
        }
        Ok(())
    }
}
