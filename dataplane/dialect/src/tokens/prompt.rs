//! What a whole request will be: its texts, its pictures, and what the provider's template adds.

use super::{
    Counter, Estimate, Memo, Tokenizer, Unescape,
    image::{self, Detail, File, Rule},
};
use crate::{
    canonical::request::{Content, Format, Media, MediaKind, Part, Request, Source, Tool},
    json::{Json, Text},
};

/// For a document that is no text: a page has some 1,500 to 3,000 tokens, and a page of a usual PDF some 50 KiB.
const DOCUMENT_BYTES_PER_TOKEN: u64 = 24;
/// Speech in the codings that providers take: 16 kHz, 16 bits, and some 25 to 32 tokens a second.
const AUDIO_BYTES_PER_TOKEN: u64 = 1_000;
/// What is known by its URL or its id alone.
const UNSEEN_MEDIA_TOKENS: u64 = 1_500;
const UNSEEN_ERROR_BASIS_POINTS: u16 = 9_000;

/// What a provider's template puts around a request, in tokens: OpenAI documents three a message and three to begin
/// the answer; the others publish nothing, and measure alike.
const PER_REQUEST: u64 = 3;
const PER_TURN: u64 = 4;
const PER_TOOL: u64 = 12;
/// Telling a model at all that there are tools. Anthropic publishes some 300 tokens, which is most of what it adds.
const TOOLS_OF_CLAUDE: u64 = 313;
const TOOLS: u64 = 12;

/// The tokens of a request to a model of this name (the provider's), with the first `exact_bytes` of text counted by
/// the vocabulary where there is one.
pub fn estimate_prompt(request: &Request<'_>, model: &str, exact_bytes: usize, memo: &mut Memo) -> Estimate {
    let tokenizer = Tokenizer::of_model(model);
    let mut prompt = Prompt {
        texts: Counter::new(tokenizer, exact_bytes),
        rule: Rule::of_model(model),
        rest: Estimate::ZERO,
        memo,
    };
    for turn in &request.turns {
        prompt.template(PER_TURN);
        if let Some(name) = &turn.name {
            prompt.text(name);
        }
        prompt.parts(&turn.parts);
    }
    prompt.tools(&request.tools, tokenizer);
    if let Format::Schema { schema, .. } = &request.format {
        prompt.json(schema);
    }
    prompt.template(PER_REQUEST);
    prompt.texts.estimate().plus(prompt.rest)
}

struct Prompt<'m> {
    texts: Counter,
    rule: Rule,
    /// All that is not counted as text.
    rest: Estimate,
    memo: &'m mut Memo,
}

impl Prompt<'_> {
    fn parts(&mut self, parts: &[Part<'_>]) {
        for part in parts {
            self.part(&part.content);
        }
    }

    fn part(&mut self, content: &Content<'_>) {
        match content {
            Content::Text(text) | Content::Refusal(text) => self.text(text),
            Content::Media(media) => self.media(media),
            Content::ToolCall { name, arguments, .. } => {
                self.template(PER_TURN);
                self.text(name);
                match arguments {
                    Json::Value(raw) => self.json(raw),
                    Json::Quoted(text) => self.text(text),
                }
            }
            Content::ToolResult { parts, .. } => {
                self.template(PER_TURN);
                // Results do not nest: a dialect has none within another.
                for part in parts {
                    match &part.content {
                        Content::ToolResult { .. } => {}
                        content => self.part(content),
                    }
                }
            }
            Content::Json(raw) => self.json(raw),
            Content::Thinking(text) => self.text(text),
            // Base64 of what was text: three bytes of four letters, some four bytes a token.
            Content::Sealed { data, .. } => self.guess(stored_bytes(data) * 3 / 16),
        }
    }

    fn tools(&mut self, tools: &[Tool<'_>], tokenizer: Tokenizer) {
        if tools.is_empty() {
            return;
        }
        self.template(match tokenizer {
            Tokenizer::Claude3 | Tokenizer::Claude4_7 => TOOLS_OF_CLAUDE,
            _ => TOOLS,
        });
        for tool in tools {
            self.template(PER_TOOL);
            self.text(&tool.name);
            if let Some(description) = &tool.description {
                self.text(description);
            }
            if let Some(schema) = &tool.schema {
                self.json(schema);
            }
        }
    }

    fn media(&mut self, media: &Media<'_>) {
        match (media.kind, &media.source) {
            (_, Source::Text(text)) => self.text(text),
            (MediaKind::Image, source) => {
                let size = match source {
                    Source::Base64(text) => image::header::size(File::Base64(stored(text))),
                    _ => None,
                };
                let picture = image::estimate(self.rule, size, detail(media.detail.as_ref()));
                self.rest = self.rest.plus(picture);
            }
            (kind, Source::Base64(text)) => {
                let bytes = stored_bytes(text) * 3 / 4;
                self.guess(match kind {
                    MediaKind::Audio => bytes / AUDIO_BYTES_PER_TOKEN,
                    _ => bytes / DOCUMENT_BYTES_PER_TOKEN,
                });
            }
            _ => self.guess(UNSEEN_MEDIA_TOKENS),
        }
    }

    fn text(&mut self, text: &Text<'_>) {
        match text {
            Text::Plain(text) => self.texts.text(self.memo, text.as_bytes()),
            Text::Escaped(raw) => {
                let mut unescape = Unescape::default();
                unescape.feed(raw, |text| self.texts.feed(self.memo, text));
                unescape.end(|text| self.texts.feed(self.memo, text));
                self.texts.end_text(self.memo);
            }
        }
    }

    fn json(&mut self, raw: &[u8]) {
        self.texts.text(self.memo, raw);
    }

    /// What is certain but for the provider's version of it.
    fn template(&mut self, tokens: u64) {
        self.add(tokens, 2_500);
    }

    fn guess(&mut self, tokens: u64) {
        self.add(tokens, UNSEEN_ERROR_BASIS_POINTS);
    }

    fn add(&mut self, tokens: u64, mean_error_basis_points: u16) {
        self.rest = self.rest.plus(Estimate {
            tokens,
            mean_error_basis_points,
        });
    }
}

fn detail(detail: Option<&Text<'_>>) -> Detail {
    match detail.and_then(Text::plain).as_deref() {
        Some("low") => Detail::Low,
        Some("high" | "original") => Detail::High,
        _ => Detail::Auto,
    }
}

/// Its bytes as they stand: base64 has no need of escapes (but `\/`, which some writers put, and which only makes a
/// header unreadable).
fn stored<'a>(text: &'a Text<'_>) -> &'a [u8] {
    match text {
        Text::Plain(text) => text.as_bytes(),
        Text::Escaped(raw) => raw,
    }
}

fn stored_bytes(text: &Text<'_>) -> u64 {
    stored(text).len() as u64
}

#[cfg(test)]
mod tests {
    use super::{Memo, estimate_prompt};
    use crate::{
        canonical::request::{Content, Media, MediaKind, Part, Request, Role, Source, Tool, Turn},
        json::{Json, Text},
    };

    const MODEL: &str = "gpt-4o";

    fn tokens_of(parts: Vec<Part<'_>>) -> u64 {
        tokens(&request(parts))
    }

    fn tokens(request: &Request<'_>) -> u64 {
        estimate_prompt(request, MODEL, usize::MAX, &mut Memo::default()).tokens
    }

    fn request(parts: Vec<Part<'_>>) -> Request<'_> {
        Request {
            turns: vec![Turn {
                role: Role::User,
                name: None,
                parts,
            }],
            ..Request::default()
        }
    }

    fn picture(source: Source<'static>, detail: Option<Text<'static>>) -> Part<'static> {
        Part::new(Content::Media(Media {
            kind: MediaKind::Image,
            source,
            media_type: None,
            name: None,
            detail,
            cite: false,
        }))
    }

    #[test]
    fn every_part_counts_what_it_is() {
        let empty = tokens_of(vec![]);
        let text = |text: &'static str| Part::new(Content::Text(Text::Escaped(text.as_bytes())));
        let base64 = || Source::Base64(Text::from("iVBORw0KGgoAAAANSUhEUgAABAAAAAQACAIAAADwf7zU"));
        let url = || Source::Url(Text::from("https://example.com/a.png"));
        let json: &[u8] = br#"{"a":1}"#;
        let result = |parts| {
            Part::new(Content::ToolResult {
                call_id: None,
                name: None,
                parts,
                is_error: false,
            })
        };
        let table = [
            ("text", text("hello, world"), 3),
            ("escaped text", text(r"hello,\u0020world"), 3),
            ("picture of 1,024 by 1,024", picture(base64(), None), 765),
            ("the same in low detail", picture(base64(), Some(Text::from("low"))), 85),
            ("picture elsewhere", picture(url(), None), 1_105),
            ("json", Part::new(Content::Json(json)), 5),
            ("tool result", result(vec![text("hello, world")]), 7),
            (
                "results do not nest",
                result(vec![result(vec![text("hello, world")])]),
                4,
            ),
            (
                "tool call",
                Part::new(Content::ToolCall {
                    id: None,
                    name: Text::from("hello"),
                    arguments: Json::Value(json),
                }),
                10,
            ),
        ];
        for (name, part, expected) in table {
            assert_eq!(tokens_of(vec![part]) - empty, expected, "{name}");
        }
    }

    #[test]
    fn tools_count_with_their_schemas_and_claude_is_told_at_length() {
        let mut with = request(vec![]);
        let without = tokens(&with);
        with.tools.push(Tool {
            name: Text::from("hello"),
            description: Some(Text::from("hello, world")),
            schema: Some(br#"{"a":1}"#.into()),
            strict: None,
            cache: None,
        });
        assert_eq!(tokens(&with) - without, 12 + 12 + 1 + 3 + 5);
        let claude =
            |request: &Request<'_>| estimate_prompt(request, "claude-opus-4-5", 0, &mut Memo::default()).tokens;
        assert!(claude(&with) - claude(&request(vec![])) > 313);
    }

    #[test]
    fn a_prompt_is_estimated_even_where_its_text_is_counted() {
        let prompt = request(vec![Part::text("hello, world")]);
        let estimate = estimate_prompt(&prompt, MODEL, usize::MAX, &mut Memo::default());
        assert!(estimate.estimated());
    }
}
