//! Paths of a provider: templates whose parameters are filled in when the document is read, and whose model when a
//! call is made.

use crate::document::Dialect;

/// What is asked of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// An answer in one piece.
    Chat,
    /// An answer in pieces.
    Stream,
    Embed,
    Rerank,
    CountTokens,
}

impl Operation {
    pub const ALL: [Self; 5] = [Self::Chat, Self::Stream, Self::Embed, Self::Rerank, Self::CountTokens];

    /// The key of a row's `paths`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Stream => "stream",
            Self::Embed => "embed",
            Self::Rerank => "rerank",
            Self::CountTokens => "count_tokens",
        }
    }
}

/// Behind the address's own path; `None` where the provider has no such thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths {
    pub chat: Template,
    pub stream: Template,
    pub embed: Option<Template>,
    pub rerank: Option<Template>,
    pub count_tokens: Option<Template>,
}

impl Paths {
    /// The dialect's own.
    pub fn of(dialect: Dialect) -> Self {
        let same = |chat: &str| Self {
            chat: Template::new(chat),
            stream: Template::new(chat),
            ..Self::default()
        };
        let some = |text: &str| Some(Template::new(text));
        match dialect {
            Dialect::OpenAi => Self {
                embed: some("/embeddings"),
                ..same("/chat/completions")
            },
            Dialect::OpenAiResponses => same("/responses"),
            Dialect::Anthropic => Self {
                count_tokens: some("/messages/count_tokens"),
                ..same("/messages")
            },
            Dialect::Gemini => Self {
                chat: Template::new("/models/{model}:generateContent"),
                stream: Template::new("/models/{model}:streamGenerateContent?alt=sse"),
                embed: some("/models/{model}:embedContent"),
                count_tokens: some("/models/{model}:countTokens"),
                rerank: None,
            },
            Dialect::Cohere => Self {
                embed: some("/embed"),
                rerank: some("/rerank"),
                ..same("/chat")
            },
            Dialect::Bedrock => Self {
                chat: Template::new("/model/{model}/converse"),
                stream: Template::new("/model/{model}/converse-stream"),
                count_tokens: some("/model/{model}/count-tokens"),
                ..Self::default()
            },
        }
    }

    pub fn get(&self, operation: Operation) -> Option<&Template> {
        match operation {
            Operation::Chat => Some(&self.chat),
            Operation::Stream => Some(&self.stream),
            Operation::Embed => self.embed.as_ref(),
            Operation::Rerank => self.rerank.as_ref(),
            Operation::CountTokens => self.count_tokens.as_ref(),
        }
    }

    /// With every parameter of `values` in its place.
    pub fn filled(&self, values: &[(&str, String)]) -> Self {
        let one = |template: &Template| Template(fill(&template.0, values));
        Self {
            chat: one(&self.chat),
            stream: one(&self.stream),
            embed: self.embed.as_ref().map(one),
            rerank: self.rerank.as_ref().map(one),
            count_tokens: self.count_tokens.as_ref().map(one),
        }
    }
}

/// A path, perhaps with a query, in which `{model}` may stand once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template(String);

const MODEL: &str = "{model}";

impl Template {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn text(&self) -> &str {
        &self.0
    }

    /// What stands before the model and after it; `None` where the model is not in the path.
    pub fn around_model(&self) -> Option<(&str, &str)> {
        self.0.split_once(MODEL)
    }

    /// Appends the path for this model.
    pub fn write(&self, model: &str, out: &mut Vec<u8>) {
        let Some((before, after)) = self.around_model() else {
            return out.extend_from_slice(self.0.as_bytes());
        };
        out.extend_from_slice(before.as_bytes());
        write_segment(model, out);
        out.extend_from_slice(after.as_bytes());
    }
}

/// Percent-encodes all but the unreserved characters (RFC 3986, section 2.3): one segment of a path, as the AWS SDKs
/// encode an ARN there and as Google's take `@`.
pub fn write_segment(segment: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(byte);
        } else {
            out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

/// Puts values in the place of `{name}`s.
pub fn fill(text: &str, values: &[(&str, String)]) -> String {
    values.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("{{{name}}}"), value)
    })
}
