//! Texts, numbers and values as they stand in a document. A text that goes from one JSON document into another is
//! copied with its escapes: they mean the same in both.

use std::borrow::Cow;

use tollgate_wire::{
    Span,
    json::{
        cursor::{self, BadJson, Kind, Value},
        edit,
    },
};

/// The text of a string.
#[derive(Clone, Debug)]
pub enum Text<'a> {
    /// What stood between the quotes of a JSON string, escapes and all.
    Escaped(&'a [u8]),
    Plain(Cow<'a, str>),
}

impl<'a> Text<'a> {
    pub const EMPTY: Text<'static> = Text::Escaped(b"");

    /// The text without escapes; `None` where an escape stands for no character (half a surrogate pair).
    pub fn plain(&self) -> Option<Cow<'_, str>> {
        match self {
            Text::Plain(text) => Some(Cow::Borrowed(text)),
            Text::Escaped(raw) if memchr::memchr(b'\\', raw).is_none() => str::from_utf8(raw).ok().map(Cow::Borrowed),
            Text::Escaped(raw) => {
                let mut quoted = Vec::with_capacity(raw.len() + 2);
                quoted.push(b'"');
                quoted.extend_from_slice(raw);
                quoted.push(b'"');
                let span = Span::new(0, quoted.len());
                let value = Value {
                    span,
                    kind: Kind::String,
                };
                cursor::string(&quoted, value).map(|text| Cow::Owned(text.into_owned()))
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        match self {
            Text::Escaped(raw) => raw.is_empty(),
            Text::Plain(text) => text.is_empty(),
        }
    }

    /// Bytes that stand for it here.
    pub fn held_bytes(&self) -> usize {
        match self {
            Text::Escaped(raw) => raw.len(),
            Text::Plain(text) => text.len(),
        }
    }

    /// Compares without building the text, where it has no escapes.
    pub fn is(&self, other: &str) -> bool {
        self.plain().is_some_and(|text| text == other)
    }

    /// Appends it as it stands between the quotes of a JSON string.
    pub fn write_escaped(&self, out: &mut Vec<u8>) {
        match self {
            Text::Escaped(raw) => out.extend_from_slice(raw),
            Text::Plain(text) => edit::write_escaped(out, text),
        }
    }

    /// The same text, holding its own bytes.
    pub fn into_owned(self) -> Text<'static> {
        match self {
            Text::Plain(text) => Text::Plain(Cow::Owned(text.into_owned())),
            Text::Escaped(raw) => {
                let text = Text::Escaped(raw).plain().map(Cow::into_owned);
                Text::Plain(Cow::Owned(text.unwrap_or_default()))
            }
        }
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Text::Plain(Cow::Borrowed(text))
    }
}

impl From<String> for Text<'static> {
    fn from(text: String) -> Self {
        Text::Plain(Cow::Owned(text))
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Text<'_>) -> bool {
        match (self, other) {
            (Text::Escaped(one), Text::Escaped(two)) if one == two => true,
            _ => self.plain() == other.plain(),
        }
    }
}

/// A number as it was written; digits that no float holds survive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number<'a>(pub(super) &'a [u8]);

impl<'a> Number<'a> {
    pub fn raw(self) -> &'a [u8] {
        self.0
    }

    pub fn value(self) -> f64 {
        str::from_utf8(self.0)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(f64::NAN)
    }

    /// `None` when it is negative, too large, or has a fraction; `1.0` and `1e3` are whole.
    pub fn unsigned(self) -> Option<u64> {
        let text = str::from_utf8(self.0).ok()?;
        text.parse().ok().or_else(|| {
            let value: f64 = text.parse().ok()?;
            // Up to 2^53 a float holds every integer.
            (value >= 0.0 && value.fract() == 0.0 && value <= 9_007_199_254_740_992.0).then_some(value as u64)
        })
    }
}

/// Compared as the objects they stand for.
impl PartialEq for Json<'_> {
    fn eq(&self, other: &Json<'_>) -> bool {
        match (self.object(), other.object()) {
            (Ok(one), Ok(two)) => one == two,
            _ => false,
        }
    }
}

/// A JSON value, either as it stands in the document or as the text of a string (OpenAI's tool arguments).
#[derive(Clone, Debug)]
pub enum Json<'a> {
    Value(&'a [u8]),
    Quoted(Text<'a>),
}

impl<'a> Json<'a> {
    pub const EMPTY_OBJECT: Json<'static> = Json::Value(b"{}");

    /// Its bytes as an object that stands by itself. An empty text is an object without members: models call tools
    /// without parameters that way. Anything else that is no JSON object is an error.
    pub fn object(&self) -> Result<Cow<'_, [u8]>, BadJson> {
        let broken = BadJson {
            reason: "an escape that stands for no character",
            offset: 0,
        };
        let bytes = match self {
            Json::Value(raw) => Cow::Borrowed(*raw),
            Json::Quoted(text) => match text.plain().ok_or(broken)? {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            },
        };
        if bytes.trim_ascii().is_empty() {
            return Ok(Cow::Borrowed(b"{}"));
        }
        cursor::find(&bytes, &[]).map(|[]| ())?;
        Ok(bytes)
    }

    /// Appends it as a JSON string that holds the value's text.
    pub fn write_quoted(&self, out: &mut Vec<u8>) {
        match self {
            // Bytes of a document that was proved to be UTF-8.
            Json::Value(raw) => edit::write_string(out, &String::from_utf8_lossy(raw)),
            Json::Quoted(text) => {
                out.push(b'"');
                text.write_escaped(out);
                out.push(b'"');
            }
        }
    }
}
