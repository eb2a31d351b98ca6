//! What a request asks of a model, as far as it shows without reading it whole, and whether a model is known to lack it.

use tollgate_config::catalogue::ModelFacts;

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

fn holds(body: &[u8], words: &[&[u8]]) -> bool {
    words.iter().any(|word| memchr::memmem::find(body, word).is_some())
}

/// Why a model cannot serve the request; none where nothing is known against it. The body is read only for what the model
/// lacks.
pub(crate) fn lacking(body: &[u8], facts: Option<&ModelFacts>) -> Option<&'static str> {
    let facts = facts?;
    let least_tokens = body.len() as u64 / MOST_BYTES_A_TOKEN;
    let too_long = facts.context_window.is_some_and(|window| window < least_tokens);
    // A picture has many bytes and few tokens.
    if too_long && !holds(body, &IMAGES) {
        return Some("the prompt is longer than its context window");
    }
    if !facts.abilities.images && holds(body, &IMAGES) {
        return Some("it takes no images");
    }
    (!facts.abilities.tools && holds(body, &TOOLS)).then_some("it calls no tools")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_shows() {
        let needs = |body: &str| (holds(body.as_bytes(), &TOOLS), holds(body.as_bytes(), &IMAGES));
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
