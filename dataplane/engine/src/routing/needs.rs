//! What a request asks of a model, as far as it shows without reading it whole, and whether a model is known to lack it.

use std::cell::OnceCell;

use tollgate_config::{
    catalogue::ModelFacts,
    document::{Feature, Features},
};
use tollgate_wire::json::{
    cursor::{self, Kind as Json, Value},
    watch::Watch,
};

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
const AUDIO: [&[u8]; 5] = [
    b"\"input_audio\"",
    b"\"audio_url\"",
    b"\"mimeType\":\"audio/",
    b"\"mimeType\": \"audio/",
    b"\"mime_type\":\"audio/",
];
const DOCUMENTS: [&[u8]; 7] = [
    b"\"input_file\"",
    b"\"type\":\"file\"",
    b"\"type\": \"file\"",
    b"\"type\":\"document\"",
    b"\"type\": \"document\"",
    b"\"document\":",
    b"\"application/pdf\"",
];
/// Where the six dialects say that tools may be called, …
const MAY_CALL: usize = 3;
/// … that the answer must follow a schema, …
const FOLLOWS: usize = MAY_CALL + 9;
/// … and that the model is to think.
const PATHS: [&str; FOLLOWS + 7] = [
    "tools",
    "functions",
    "toolConfig",
    "response_format.type",
    "response_format.schema",
    "response_format.json_schema",
    "text.format.type",
    "output_format.schema",
    "output_config.format",
    "generationConfig.responseSchema",
    "generationConfig.responseJsonSchema",
    "outputConfig.textFormat",
    "reasoning_effort",
    "reasoning.effort",
    "reasoning.summary",
    "thinking.type",
    "generationConfig.thinkingConfig",
    "additionalModelRequestFields.thinking",
    "additionalModelRequestFields.reasoning_config",
];
/// Most texts have about four bytes in a token; hardly any has more than this.
const MOST_BYTES_A_TOKEN: u64 = 6;

fn holds(body: &[u8], words: &[&[u8]]) -> bool {
    words.iter().any(|word| memchr::memmem::find(body, word).is_some())
}

/// What a call asks of its model. Reads the body whole: for models that go by it.
pub(crate) fn asked_for(body: &[u8], stream: bool) -> Features {
    const WATCH: Watch<'static, { PATHS.len() }> = Watch::new(&PATHS);
    let said = cursor::find_watched(body, &WATCH).unwrap_or([None; PATHS.len()]);
    let (may_call, rest) = said.split_at(MAY_CALL);
    let (follows, thinks) = rest.split_at(FOLLOWS - MAY_CALL);
    let any = |values: &[Option<Value>], asks: fn(&[u8]) -> bool| {
        let mut said = values.iter().flatten();
        said.any(|value| value.kind != Json::Null && asks(value.span.of(body)))
    };
    let asked = [
        (Feature::Vision, holds(body, &IMAGES)),
        (Feature::Audio, holds(body, &AUDIO)),
        (Feature::Documents, holds(body, &DOCUMENTS)),
        (Feature::Tools, any(may_call, |text| !matches!(text, b"[]" | b"{}"))),
        // A type other than that asks for JSON of any shape, or for text.
        (
            Feature::JsonSchema,
            any(follows, |text| text.starts_with(b"{") || text == b"\"json_schema\""),
        ),
        (
            Feature::Thinking,
            any(thinks, |text| !matches!(text, b"\"none\"" | b"\"disabled\"")),
        ),
        (Feature::Streaming, stream),
    ];
    asked
        .into_iter()
        .filter(|(_, asked)| *asked)
        .map(|(feature, _)| feature)
        .collect()
}

/// A body that models are held against. It is read for what one of them lacks, and once for all of them.
pub(crate) struct Needs<'a> {
    body: &'a [u8],
    images: OnceCell<bool>,
    tools: OnceCell<bool>,
}

impl<'a> Needs<'a> {
    pub fn of(body: &'a [u8]) -> Self {
        Self {
            body,
            images: OnceCell::new(),
            tools: OnceCell::new(),
        }
    }

    /// Why a model cannot serve the request; none where nothing is known against it.
    pub fn lacking(&self, facts: Option<&ModelFacts>) -> Option<&'static str> {
        let facts = facts?;
        let least_tokens = self.body.len() as u64 / MOST_BYTES_A_TOKEN;
        let too_long = facts.context_window.is_some_and(|window| window < least_tokens);
        // A picture has many bytes and few tokens.
        if too_long && !self.images() {
            return Some("the prompt is longer than its context window");
        }
        if !facts.abilities.images && self.images() {
            return Some("it takes no images");
        }
        (!facts.abilities.tools && self.tools()).then_some("it calls no tools")
    }

    fn images(&self) -> bool {
        *self.images.get_or_init(|| holds(self.body, &IMAGES))
    }

    fn tools(&self) -> bool {
        *self.tools.get_or_init(|| holds(self.body, &TOOLS))
    }
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
    #[test]
    fn the_dialects_own_words_say_what_is_asked_for() {
        let none: &[Feature] = &[];
        for (body, expected) in [
            (
                r#"{"messages":[],"tools":[],"response_format":{"type":"json_object"}}"#,
                none,
            ),
            (
                r#"{"reasoning_effort":"none","thinking":{"type":"disabled"},"text":null}"#,
                none,
            ),
            (r#"{"messages":[{"content":"\"tools\": [1], thinking.type"}]}"#, none),
            (
                r#"{"tools":[{"type":"function","function":{"parameters":{"thinking":{"type":"x"}}}}]}"#,
                &[Feature::Tools],
            ),
            (r#"{"toolConfig":{"tools":[{}]}}"#, &[Feature::Tools]),
            (
                r#"{"response_format":{"type":"json_schema","json_schema":{"schema":{}}}}"#,
                &[Feature::JsonSchema],
            ),
            (r#"{"text":{"format":{"type":"json_schema"}}}"#, &[Feature::JsonSchema]),
            (
                r#"{"generationConfig":{"responseSchema":{"type":"OBJECT"}}}"#,
                &[Feature::JsonSchema],
            ),
            (r#"{"reasoning":{"effort":"high"}}"#, &[Feature::Thinking]),
            (
                r#"{"thinking":{"type":"enabled","budget_tokens":2048}}"#,
                &[Feature::Thinking],
            ),
            (
                r#"{"generationConfig":{"thinkingConfig":{"thinkingBudget":1}}}"#,
                &[Feature::Thinking],
            ),
            (
                r#"{"messages":[{"content":[{"type":"image_url"},{"type":"input_audio"}]}]}"#,
                &[Feature::Vision, Feature::Audio],
            ),
            (
                r#"{"messages":[{"content":[{"type":"document","source":{}}]}]}"#,
                &[Feature::Documents],
            ),
        ] {
            let expected: Features = expected.iter().copied().collect();
            assert_eq!(asked_for(body.as_bytes(), false), expected, "{body}");
        }
        assert!(asked_for(b"{}", true).contains(Feature::Streaming));
    }
}
