//! The words that are compared by meaning: the last turn of a request, where it is the user's own plain text. All around
//! them must be equal, so it is cut out and the rest is hashed. Read by the shape of the body, in the words of any of the six
//! dialects. Knows no vectors.

use std::ops::Range;

use tollgate_dialect::json::Node;
use tollgate_vector::MAX_COMPARED_BYTES;

use super::Passed;

/// What was asked last, and where it stands in the body, quotes included.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub text: String,
    at: Range<usize>,
}

impl Turn {
    pub fn of(body: &[u8]) -> Result<Self, Passed> {
        let document = Node::document(body).map_err(|_| Passed::NotWords)?;
        let asked = ["messages", "contents", "input"]
            .into_iter()
            .find_map(|name| document.get(name))
            .ok_or(Passed::NotWords)?;
        let words = match asked.is_array() {
            true => content(asked.elements().last().ok_or(Passed::NotWords)?)?,
            false => asked,
        };
        let text = words.string().ok_or(Passed::NotWords)?;
        if text.trim().is_empty() {
            return Err(Passed::NotWords);
        }
        if text.len() > MAX_COMPARED_BYTES {
            return Err(Passed::Long);
        }
        let at = words.offset();
        Ok(Self {
            text: text.into_owned(),
            at: at..at + words.raw().len(),
        })
    }

    /// The body with nothing said there.
    pub fn cut_from(&self, body: &[u8]) -> Option<Vec<u8>> {
        let (before, behind) = (body.get(..self.at.start)?, body.get(self.at.end..)?);
        Some([before, b"\"\"", behind].concat())
    }
}

/// The words of a turn: its text, or the last of its texts; those before that are part of what must be equal.
fn content(turn: Node<'_>) -> Result<Node<'_>, Passed> {
    let (mut role, mut kind, mut content) = (None, None, None);
    for (name, value) in turn.members() {
        match &*name {
            "role" => role = Some(value),
            "type" => kind = Some(value),
            "content" | "parts" => content = Some(value),
            _ => {}
        }
    }
    // Gemini's turns may have no role; other items of a Responses call have a type of their own.
    let is_users = role.is_none_or(|role| role.is("user")) && kind.is_none_or(|kind| kind.is("message"));
    let content = content.filter(|_| is_users).ok_or(Passed::NotWords)?;
    if !content.is_array() {
        return Ok(content);
    }
    let mut words = None;
    for block in content.elements() {
        let plain = block
            .get("type")
            .is_none_or(|kind| kind.is("text") || kind.is("input_text"));
        words = Some(block.get("text").filter(|_| plain).ok_or(Passed::NotWords)?);
    }
    words.ok_or(Passed::NotWords)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(body: &str) -> Result<(String, String), Passed> {
        let turn = Turn::of(body.as_bytes())?;
        let rest = turn.cut_from(body.as_bytes()).expect("it stands in the body");
        Ok((turn.text, String::from_utf8(rest).expect("UTF-8")))
    }

    #[test]
    fn the_last_words_are_cut_out_in_every_dialect() {
        for (body, text, rest) in [
            (
                r#" {"model":"m","messages":[{"role":"user","content":"one"},{"role":"user","content":"a \"b\""}]}"#,
                "a \"b\"",
                r#" {"model":"m","messages":[{"role":"user","content":"one"},{"role":"user","content":""}]}"#,
            ),
            (
                r#"{"messages":[{"role":"user","content":[{"type":"text","text":"one"},{"type":"text","text":"two"}]}]}"#,
                "two",
                r#"{"messages":[{"role":"user","content":[{"type":"text","text":"one"},{"type":"text","text":""}]}]}"#,
            ),
            (r#"{"input":"hi","n":1}"#, "hi", r#"{"input":"","n":1}"#),
            (
                r#"{"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}]}"#,
                "hi",
                r#"{"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":""}]}]}"#,
            ),
            (
                r#"{"contents":[{"parts":[{"text":"x"}]}]}"#,
                "x",
                r#"{"contents":[{"parts":[{"text":""}]}]}"#,
            ),
        ] {
            assert_eq!(cut(body), Ok((text.to_owned(), rest.to_owned())), "{body}");
        }
    }

    #[test]
    fn what_is_not_the_user_s_own_plain_text_is_passed_by() {
        for body in [
            "[]",
            r#"{"messages":[]}"#,
            r#"{"messages":[{"role":"user","content":"  "}]}"#,
            r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#,
            r#"{"messages":[{"role":"tool","content":"b"}]}"#,
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"what is it"},{"type":"image_url","image_url":{}}]}]}"#,
            r#"{"messages":[{"role":"user","content":[{"type":"tool_result","content":"42"}]}]}"#,
            r#"{"messages":[{"role":"user","content":[]}]}"#,
            r#"{"input":[{"type":"function_call_output","output":"x"}]}"#,
            r#"{"prompt":"x"}"#,
        ] {
            assert_eq!(cut(body), Err(Passed::NotWords), "{body}");
        }
        let long = "word ".repeat(MAX_COMPARED_BYTES / 4);
        let body = format!(r#"{{"messages":[{{"role":"user","content":"{long}"}}]}}"#);
        assert_eq!(cut(&body), Err(Passed::Long));
    }
}
