//! What an answer says beyond what events carry (pictures, what a provider's own tools did): it passes as it came, and cannot
//! be said anew in another form. A dialect lists where its answers say things, and what of those is carried.

use crate::json::Node;

/// A place in an answer, or in what one event of a stream says. Lists on the way are looked at element by element.
#[derive(Debug)]
pub(crate) struct Said {
    pub path: &'static [&'static str],
    pub carried: Carried,
}

/// What of it events carry.
#[derive(Debug)]
pub(crate) enum Carried {
    /// Whatever names one of these as its `type`, or none.
    Types(&'static [&'static str]),
    /// Members of these names.
    Members(&'static [&'static str]),
    Nothing,
}

/// Does it say anything at these places that is not carried?
pub(crate) fn goes_beyond(places: &[Said], answer: Node<'_>) -> bool {
    places.iter().any(|place| is_beyond(answer, place.path, &place.carried))
}

fn is_beyond(node: Node<'_>, path: &[&str], carried: &Carried) -> bool {
    if node.is_array() {
        return node.elements().any(|element| is_beyond(element, path, carried));
    }
    if let Some((name, rest)) = path.split_first() {
        return node.get(name).is_some_and(|member| is_beyond(member, rest, carried));
    }
    match carried {
        Carried::Types(known) => {
            let kind = node.get("type").filter(|kind| !kind.is_null());
            kind.is_some_and(|kind| !known.iter().any(|known| kind.is(known)))
        }
        Carried::Members(known) => node
            .members()
            .any(|(name, value)| !known.contains(&&*name) && says_something(value)),
        Carried::Nothing => says_something(node),
    }
}

fn says_something(node: Node<'_>) -> bool {
    !matches!(node.raw(), b"null" | b"false" | b"\"\"" | b"[]" | b"{}")
}

#[cfg(test)]
mod tests {
    use crate::{ALL, json::Node};

    fn goes_beyond(dialect: &str, said: &str) -> bool {
        let (_, speaks) = ALL.iter().find(|(name, _)| *name == dialect).expect("a dialect");
        let within = format!("{{\"said\":{said}}}");
        let all = Node::document(within.as_bytes()).expect("JSON");
        speaks.goes_beyond(all.get("said").expect("what is said"))
    }

    #[test]
    fn what_events_carry_is_not_beyond_them_and_what_they_lose_is() {
        for (dialect, within, beyond) in [
            (
                "openai",
                r#"{"choices":[{"message":{"content":"hi","audio":null,"images":[],"tool_calls":[{"type":"function"}]}}]}"#,
                r#"{"choices":[{},{"message":{"content":null,"tool_calls":[{"type":"custom","custom":{"name":"f"}}]}}]}"#,
            ),
            (
                "openai",
                r#"{"choices":[{"delta":{"content":[{"type":"text","text":"hi"}]}}],"citations":[]}"#,
                r#"{"choices":[{"delta":{"content":"hi"}}],"citations":["https://a"]}"#,
            ),
            (
                "openai",
                r#"{"choices":[{"message":{"content":"hi"},"token_ids":null,"content_filter_results":{"hate":{"filtered":false}}}],"prompt_filter_results":[{"prompt_index":0}],"system_fingerprint":"f"}"#,
                r#"{"choices":[{"message":{"content":"hi"},"token_ids":[9906]}]}"#,
            ),
            (
                "openai",
                r#"{"choices":[{"message":{"content":"hi"}}],"images":[],"prompt_logprobs":null}"#,
                r#"{"choices":[{"message":{"content":"hi"}}],"images":[{"image_url":"https://a"}]}"#,
            ),
            (
                "openai-responses",
                r#"{"output":[{"type":"message","content":[{"type":"output_text","annotations":[{"type":"url_citation"}]}]}]}"#,
                r#"{"output":[{"type":"message","content":[{"type":"output_text","annotations":[{"type":"file_citation"}]}]}]}"#,
            ),
            (
                "anthropic",
                r#"{"content":[{"type":"text","citations":[{"type":"char_location"}]}],"container":null}"#,
                r#"{"content":[{"type":"text","citations":[{"type":"content_block_location"}]}]}"#,
            ),
            (
                "anthropic",
                r#"{"content":[],"context_management":{"applied_edits":[]}}"#,
                r#"{"message":{"context_management":{"applied_edits":[{"type":"clear_tool_uses_20250919"}]}}}"#,
            ),
            (
                "gemini",
                r#"[{"candidates":[{"content":{"parts":[{"text":"hi","thought":true}]}}]}]"#,
                r#"[{"candidates":[]},{"candidates":[{"groundingMetadata":{"webSearchQueries":["a"]}}]}]"#,
            ),
            (
                "bedrock",
                r#"{"output":{"message":{"content":[{"toolUse":{"name":"f"}}]}}}"#,
                r#"{"output":{"message":{"content":[{"toolUse":{"name":"f","type":"server_tool_use"}}]}}}"#,
            ),
            (
                "bedrock",
                r#"{"stopReason":"stop_sequence","additionalModelResponseFields":{"stop_sequence":"x"}}"#,
                r#"{"stopReason":"end_turn","additionalModelResponseFields":{"top_k":9}}"#,
            ),
            (
                "cohere",
                r#"{"message":{"content":[{"type":"thinking","thinking":"a"}]}}"#,
                r#"{"message":{"content":[{"type":"image_url"}]}}"#,
            ),
        ] {
            assert!(!goes_beyond(dialect, within), "{within}");
            assert!(goes_beyond(dialect, beyond), "{beyond}");
        }
    }
}
