//! What a request asks of a model, as far as it shows without reading it whole, and whether a model is known to lack it.

use tollgate_config::catalogue::ModelFacts;

/// Each is looked for by a word that such requests hold in every dialect that has the thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    pub tools: bool,
    pub images: bool,
    /// Tokens at least, estimated low.
    pub least_tokens: u64,
}

/// Members whose presence tells it. In a text they would have their quotes escaped.
const TOOLS: [&[u8]; 2] = [b"\"tools\"", b"\"toolConfig\""];
const IMAGES: [&[u8]; 6] = [
    b"\"image_url\"",
    b"\"input_image\"",
    b"\"type\":\"image\"",
    b"\"type\": \"image\"",
    b"\"inlineData\"",
    b"\"image\":",
];
/// Most texts have about four bytes in a token; hardly any has more than this.
const MOST_BYTES_A_TOKEN: u64 = 6;

impl Needs {
    pub fn of(body: &[u8]) -> Self {
        let holds = |words: &[&[u8]]| words.iter().any(|word| memchr::memmem::find(body, word).is_some());
        let images = holds(&IMAGES);
        Self {
            tools: holds(&TOOLS),
            images,
            // A picture has many bytes and few tokens.
            least_tokens: if images {
                0
            } else {
                body.len() as u64 / MOST_BYTES_A_TOKEN
            },
        }
    }

    /// Why a model cannot serve it; none where nothing is known against it.
    pub fn lacking(&self, facts: Option<&ModelFacts>) -> Option<&'static str> {
        let facts = facts?;
        if facts.context_window.is_some_and(|window| window < self.least_tokens) {
            return Some("the prompt is longer than its context window");
        }
        if self.images && !facts.abilities.images {
            return Some("it takes no images");
        }
        (self.tools && !facts.abilities.tools).then_some("it calls no tools")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_shows() {
        let needs = |body: &str| {
            let Needs { tools, images, .. } = Needs::of(body.as_bytes());
            (tools, images)
        };
        assert_eq!(
            needs(r#"{"messages":[{"role":"user","content":"hi"}]}"#),
            (false, false)
        );
        assert_eq!(needs(r#"{"messages":[],"tools":[]}"#), (true, false));
        assert_eq!(needs(r#"{"toolConfig":{}}"#), (true, false));
        assert_eq!(
            needs(r#"{"content":[{"type":"image_url","image_url":{}}]}"#),
            (false, true)
        );
        assert_eq!(needs(r#"{"content":[{"type":"image","source":{}}]}"#), (false, true));
        assert_eq!(needs(r#"{"contents":[{"parts":[{"inlineData":{}}]}]}"#), (false, true));
        assert_eq!(
            needs(r#"{"content":"say \"tools\" and \"image_url\""}"#),
            (false, false)
        );
    }
}
