//! What a call asks, in the words of any of the six dialects: the last turn of the user that has words, how many turns there
//! are, and how many tools. Read by the shape of the body, which `admit` proved. Knows no vectors.

use tollgate_dialect::json::Node;
use tollgate_vector::Traits;

/// Of a long text its beginning and its end count: about 1,000 tokens of English each.
pub(crate) const HEAD_BYTES: usize = 4 << 10;
pub(crate) const TAIL_BYTES: usize = 4 << 10;
/// Blocks of a turn, and turns, that are looked at: a body with more is not refused, and no prompt has as many.
const MAX_BLOCKS: usize = 4 << 10;
const MAX_TURNS: usize = 64 << 10;

/// A prompt, as far as its meaning is judged by it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// The last turn of the user that has words, in its window.
    pub text: String,
    /// How long that turn is without the window.
    pub bytes: usize,
    /// Of user and model.
    pub turns: u32,
    pub tools: u32,
}

impl Prompt {
    /// `tokens`: of its text.
    pub fn traits(&self, tokens: usize) -> Traits {
        Traits {
            bytes: self.bytes,
            tokens,
            turns: self.turns,
            tools: self.tools,
        }
    }

    /// Of a request's body; one that is no object has no words.
    pub fn of(body: &[u8]) -> Self {
        let mut prompt = Self::default();
        let Ok(document) = Node::document(body) else {
            return prompt;
        };
        let mut asked = None;
        for (name, value) in document.members() {
            match &*name {
                "messages" | "contents" => asked = Some(value),
                // A query is what a rerank asks; the rest are of chats, completions and embeddings.
                "input" | "prompt" | "query" | "message" => asked = asked.or(Some(value)),
                "tools" | "functions" => prompt.tools = prompt.tools.saturating_add(tools(value)),
                "toolConfig" => prompt.tools = value.get("tools").map_or(0, tools),
                _ => {}
            }
        }
        let mut words = Words::within([HEAD_BYTES, TAIL_BYTES]);
        if let Some(asked) = asked {
            prompt.turns = turns(asked, &mut words);
        }
        prompt.bytes = words.bytes;
        prompt.text = words.into_text();
        prompt
    }
}

/// Gemini has its tools one level deeper.
fn tools(listed: Node<'_>) -> u32 {
    let each = |tool: Node<'_>| {
        let declared = ["functionDeclarations", "function_declarations"].into_iter();
        let mut declared = declared.filter_map(|name| tool.get(name));
        declared.next().map_or(1, |all| all.elements().take(MAX_BLOCKS).count())
    };
    listed.elements().take(MAX_BLOCKS).map(each).sum::<usize>() as u32
}

/// Reads what was asked last, and counts the turns.
fn turns(asked: Node<'_>, words: &mut Words) -> u32 {
    if !asked.is_array() {
        words.take(asked);
        return u32::from(words.bytes > 0);
    }
    let (mut turns, mut texts) = (0, false);
    for turn in asked.elements().take(MAX_TURNS) {
        if !turn.is_object() {
            // A list of texts: completions and embeddings take several.
            if !texts {
                words.clear();
            }
            texts = true;
            words.take(turn);
            continue;
        }
        let (mut role, mut content) = (None, None);
        for (name, value) in turn.members() {
            match &*name {
                "role" => role = Some(value),
                "content" | "parts" => content = Some(value),
                // An item of a Responses call that is no message.
                "type" if !value.is("message") => role = role.or(Some(value)),
                _ => {}
            }
        }
        let is = |wanted: &str| role.is_some_and(|role| role.is(wanted));
        turns += u32::from(role.is_none() || is("user") || is("assistant") || is("model"));
        if let Some(content) = content.filter(|content| (role.is_none() || is("user")) && has_words(*content)) {
            words.clear();
            words.take(content);
        }
    }
    if texts { 1 } else { turns }
}

/// What a tool answered stands in a turn of the user, and is none of their words.
fn has_words(content: Node<'_>) -> bool {
    let says = |node: Node<'_>| node.text().is_some_and(|text| !text.is_empty());
    says(content)
        || content
            .elements()
            .take(MAX_BLOCKS)
            .any(|block| block.get("text").is_some_and(says))
}

/// The two ends of a text that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Words {
    head: String,
    tail: String,
    bytes: usize,
    /// So much of either is kept.
    ends_bytes: [usize; 2],
}

impl Words {
    pub fn within(ends_bytes: [usize; 2]) -> Self {
        Self {
            ends_bytes,
            ..Self::default()
        }
    }

    pub fn clear(&mut self) {
        self.head.clear();
        self.tail.clear();
        self.bytes = 0;
    }

    /// A string, or a list of blocks with `text`.
    fn take(&mut self, content: Node<'_>) {
        if let Some(text) = content.string() {
            return self.push(&text);
        }
        for block in content.elements().take(MAX_BLOCKS) {
            if let Some(text) = block.get("text").and_then(Node::string) {
                self.push(&text);
            }
        }
    }

    pub fn push(&mut self, text: &str) {
        if self.bytes > 0 {
            self.add("\n");
        }
        self.add(text);
    }

    fn add(&mut self, text: &str) {
        let [head_bytes, tail_bytes] = self.ends_bytes;
        self.bytes += text.len();
        let room = if self.tail.is_empty() {
            head_bytes.saturating_sub(self.head.len())
        } else {
            0
        };
        let (head, rest) = text.split_at(text.floor_char_boundary(room));
        self.head.push_str(head);
        let least = rest.ceil_char_boundary(rest.len().saturating_sub(tail_bytes));
        let rest = rest.get(least..).unwrap_or_default();
        self.tail.push_str(rest);
        // Not for each of many pieces.
        if self.tail.len() > 2 * tail_bytes {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let [_, tail_bytes] = self.ends_bytes;
        let over = self.tail.ceil_char_boundary(self.tail.len().saturating_sub(tail_bytes));
        self.tail.drain(..over);
    }

    /// Where something is left out, the ends are cut back to whole words.
    pub fn into_text(mut self) -> String {
        self.cut();
        if self.bytes == self.head.len() + self.tail.len() {
            self.head.push_str(&self.tail);
            return self.head;
        }
        let end = self.head.rfind(char::is_whitespace).unwrap_or(self.head.len());
        self.head.truncate(end);
        let start = self.tail.find(char::is_whitespace).unwrap_or(0);
        self.head.push(' ');
        self.head.push_str(self.tail.get(start..).unwrap_or_default());
        self.head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &str) -> (String, u32, u32) {
        let prompt = Prompt::of(body.as_bytes());
        (prompt.text, prompt.turns, prompt.tools)
    }

    #[test]
    fn the_last_words_of_the_user_are_found_in_every_dialect() {
        for (body, text, turns, tools) in [
            (
                r#"{"model":"m","messages":[{"role":"system","content":"be kind"},{"role":"user","content":"first"},{"role":"assistant","content":"yes"},{"role":"user","content":"a \"b\""}]}"#,
                "a \"b\"",
                3,
                0,
            ),
            (
                r#"{"messages":[{"role":"user","content":[{"type":"text","text":"one"},{"type":"image_url","image_url":{}},{"type":"text","text":"two"}]}],"tools":[{},{}]}"#,
                "one\ntwo",
                1,
                2,
            ),
            (
                r#"{"messages":[{"role":"user","content":"look it up"},{"role":"assistant","content":[{"type":"tool_use"}]},{"role":"user","content":[{"type":"tool_result","content":"42"}]}]}"#,
                "look it up",
                3,
                0,
            ),
            (r#"{"input":"hello"}"#, "hello", 1, 0),
            (
                r#"{"input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]},{"type":"function_call_output","output":"x"}]}"#,
                "hi",
                1,
                0,
            ),
            (
                r#"{"contents":[{"parts":[{"text":"no role"}]}],"tools":[{"functionDeclarations":[{},{},{}]}]}"#,
                "no role",
                1,
                3,
            ),
            (
                r#"{"contents":[{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":[{"text":"b"}]}]}"#,
                "a",
                2,
                0,
            ),
            (
                r#"{"messages":[{"role":"user","content":[{"text":"bedrock"}]}],"toolConfig":{"tools":[{}]}}"#,
                "bedrock",
                1,
                1,
            ),
            (r#"{"prompt":["x","y"]}"#, "x\ny", 1, 0),
            (r#"{"messages":[]}"#, "", 0, 0),
            (r#"{"messages":7}"#, "", 0, 0),
            ("[]", "", 0, 0),
        ] {
            assert_eq!(of(body), (text.to_owned(), turns, tools), "{body}");
        }
    }

    #[test]
    fn of_a_long_turn_both_ends_count() {
        let body = |text: &str| format!(r#"{{"messages":[{{"role":"user","content":"{text}"}}]}}"#);
        let whole = "ä ".repeat((HEAD_BYTES + TAIL_BYTES) / 3);
        assert_eq!(of(&body(&whole)).0, whole);
        let long = format!("beginning {}end", "middle ".repeat(100_000));
        let prompt = Prompt::of(body(&long).as_bytes());
        assert_eq!(prompt.bytes, long.len());
        assert!(prompt.text.starts_with("beginning middle") && prompt.text.ends_with("middle end"));
        assert!(prompt.text.len() <= HEAD_BYTES + TAIL_BYTES + 1);
        assert!(
            prompt
                .text
                .split(' ')
                .all(|word| ["beginning", "middle", "end", ""].contains(&word))
        );
    }
}
