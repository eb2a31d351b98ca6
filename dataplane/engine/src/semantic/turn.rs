//! The words that are compared by meaning: the last turn of a request, where it is the user's own plain text, and where a
//! cache says so the plain words of the turns before it. All around them must be equal, so they are cut out and the rest is
//! hashed. Read by the shape of the body, in the words of any of the six dialects. Knows no vectors.

use std::ops::Range;

use tollgate_dialect::json::Node;
use tollgate_vector::MAX_COMPARED_BYTES;

use super::Passed;

/// Of the turns before the last, so much is compared in other words than the same; of a longer history all must be equal.
const MAX_EARLIER_BYTES: usize = 32 << 10;
const MAX_EARLIER_TEXTS: usize = 64;

/// What was asked last, and where it stands in the body, quotes included.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub text: String,
    /// What the user and the model said before, in order, where that is cut out as well.
    pub earlier: Vec<Box<str>>,
    /// Of all, in order.
    cuts: Vec<Range<usize>>,
}

/// What becomes of the turns before the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Earlier {
    Stays,
    IsCut,
}

impl Turn {
    pub fn of(body: &[u8], earlier: Earlier) -> Result<Self, Passed> {
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
        let before = match earlier {
            Earlier::IsCut if asked.is_array() => before(asked, words.offset()),
            _ => Vec::new(),
        };
        let (earlier, mut cuts): (Vec<_>, Vec<_>) = before.into_iter().unzip();
        cuts.push(place(words));
        Ok(Self {
            text: text.into_owned(),
            earlier,
            cuts,
        })
    }

    /// The body with nothing said there.
    pub fn cut_from(&self, body: &[u8]) -> Option<Vec<u8>> {
        let (mut rest, mut from) = (Vec::with_capacity(body.len()), 0);
        for cut in &self.cuts {
            rest.extend_from_slice(body.get(from..cut.start)?);
            rest.extend_from_slice(b"\"\"");
            from = cut.end;
        }
        rest.extend_from_slice(body.get(from..)?);
        Some(rest)
    }
}

fn place(words: Node<'_>) -> Range<usize> {
    words.offset()..words.offset() + words.raw().len()
}

/// What the user and the model said in plain words, and where, before the words at `last` and in other turns than theirs. All
/// else of these turns stays, and with it whose they are and how many. None where it is too much.
fn before(turns: Node<'_>, last: usize) -> Vec<(Box<str>, Range<usize>)> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    for turn in turns.elements() {
        if place(turn).contains(&last) {
            break;
        }
        for words in said(turn) {
            let Some(text) = words.string() else { continue };
            bytes += text.len();
            if bytes > MAX_EARLIER_BYTES || found.len() == MAX_EARLIER_TEXTS {
                return Vec::new();
            }
            found.push((text.into(), place(words)));
        }
    }
    found
}

/// The plain texts of a turn of the user's or the model's.
fn said(turn: Node<'_>) -> Vec<Node<'_>> {
    let is_theirs = turn
        .get("role")
        .is_some_and(|role| ["user", "assistant", "model"].iter().any(|name| role.is(name)));
    let content = turn.get("content").or_else(|| turn.get("parts")).filter(|_| is_theirs);
    let Some(content) = content else { return Vec::new() };
    if !content.is_array() {
        return vec![content];
    }
    let is_plain = |block: &Node<'_>| {
        block
            .get("type")
            .is_none_or(|kind| ["text", "input_text", "output_text"].iter().any(|name| kind.is(name)))
    };
    let plain = content.elements().filter(is_plain);
    plain.filter_map(|block| block.get("text")).collect()
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
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn cut(body: &str) -> Result<(String, String), Passed> {
        let turn = Turn::of(body.as_bytes(), Earlier::Stays)?;
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
    fn what_was_said_before_is_cut_out_where_it_is_plain_words() {
        let of = |body: &str| {
            let turn = Turn::of(body.as_bytes(), Earlier::IsCut)?;
            let rest = turn.cut_from(body.as_bytes()).expect("it stands in the body");
            Ok::<_, Passed>((turn.earlier.join("|"), String::from_utf8(rest).expect("UTF-8")))
        };
        for (body, earlier, rest) in [
            (
                r#"{"messages":[{"role":"system","content":"be"},{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"}]}"#,
                "a|b",
                r#"{"messages":[{"role":"system","content":"be"},{"role":"user","content":""},{"role":"assistant","content":""},{"role":"user","content":""}]}"#,
            ),
            (
                r#"{"messages":[{"role":"user","content":[{"type":"image_url"},{"type":"text","text":"a"},{"type":"tool_result","text":"t"}]},{"role":"assistant","content":null,"tool_calls":[]},{"role":"tool","content":"42"},{"role":"user","content":[{"type":"text","text":"x"},{"type":"text","text":"c"}]}]}"#,
                "a",
                r#"{"messages":[{"role":"user","content":[{"type":"image_url"},{"type":"text","text":""},{"type":"tool_result","text":"t"}]},{"role":"assistant","content":null,"tool_calls":[]},{"role":"tool","content":"42"},{"role":"user","content":[{"type":"text","text":"x"},{"type":"text","text":""}]}]}"#,
            ),
            (
                r#"{"contents":[{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":[{"text":"b"}]},{"parts":[{"text":"c"}]}]}"#,
                "a|b",
                r#"{"contents":[{"role":"user","parts":[{"text":""}]},{"role":"model","parts":[{"text":""}]},{"parts":[{"text":""}]}]}"#,
            ),
            (
                r#"{"input":[{"role":"assistant","content":[{"type":"output_text","text":"a"}]},{"type":"function_call","name":"f"},{"role":"user","content":"c"}]}"#,
                "a",
                r#"{"input":[{"role":"assistant","content":[{"type":"output_text","text":""}]},{"type":"function_call","name":"f"},{"role":"user","content":""}]}"#,
            ),
        ] {
            assert_eq!(of(body), Ok((earlier.to_owned(), rest.to_owned())), "{body}");
        }
        let turns = |many: usize, words: &str| {
            let turn = format!(r#"{{"role":"user","content":"{words}"}},"#);
            format!(
                r#"{{"messages":[{}{{"role":"user","content":"c"}}]}}"#,
                turn.repeat(many)
            )
        };
        let told = |body: &str| of(body).map(|(earlier, _)| !earlier.is_empty());
        assert_eq!(told(&turns(MAX_EARLIER_TEXTS, "a")), Ok(true));
        assert_eq!(
            told(&turns(MAX_EARLIER_TEXTS + 1, "a")),
            Ok(false),
            "all must be equal then"
        );
        let long = "a".repeat(MAX_EARLIER_BYTES / 2);
        assert_eq!(told(&turns(2, &long)), Ok(true));
        assert_eq!(told(&turns(3, &long)), Ok(false), "all must be equal then");
    }

    proptest! {
        /// Where history must be equal, nothing but the last words is cut out; else what the user and the model said as well.
        #[test]
        fn what_is_cut_is_what_was_said(
            said in prop::collection::vec(("system|user|assistant|tool", "[^\\x00]{0,9}"), 0..6),
            last in "[^\\x00]{0,9}[a-z]",
        ) {
            let turn_of = |role: &str, words: &str| json!({"role": role, "content": words});
            let turns = said.iter().map(|(role, words)| turn_of(role, words));
            let body = json!({"messages": turns.chain([turn_of("user", &last)]).collect::<Vec<_>>()});
            let bytes = body.to_string();
            for earlier in [Earlier::Stays, Earlier::IsCut] {
                let is_cut = |role: &str| earlier == Earlier::IsCut && matches!(role, "user" | "assistant");
                let turn = Turn::of(bytes.as_bytes(), earlier).expect("words");
                let (mut expected, mut texts) = (body.clone(), Vec::new());
                for (at, (_, words)) in said.iter().enumerate().filter(|(_, (role, _))| is_cut(role)) {
                    expected["messages"][at]["content"] = json!("");
                    texts.push(words.clone().into_boxed_str());
                }
                expected["messages"][said.len()]["content"] = json!("");
                let rest = turn.cut_from(bytes.as_bytes()).expect("it stands in the body");
                prop_assert_eq!(serde_json::from_slice::<Value>(&rest).expect("JSON"), expected);
                prop_assert_eq!((turn.text, turn.earlier), (last.clone(), texts));
            }
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
