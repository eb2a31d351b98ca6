//! From what is wanted of a class to the pieces its requests are put together from. Pure.

use tollgate_wire::json::edit;

use super::{
    Kind,
    bodies::{self, BodyText, Turn},
    corpus::Corpus,
    dice::Dice,
    distribution::Distribution,
    prose,
    template::{self, Draw, Measure, Piece},
    weighted::Weighted,
};
use crate::dialect::Dialect;

/// The limit that is sent where a dialect insists on one and the mix names none.
const MAX_TOKENS: f64 = 1024.0;
/// Of a rerank's query.
const QUERY_BYTES: f64 = 60.0;

/// What a class's requests are made of, as the mix says it. Sizes are in bytes.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub dialect: Dialect,
    pub kind: Kind,
    pub model: String,
    pub method: Option<String>,
    pub path: Option<String>,
    pub headers: Vec<(String, String)>,
    pub system_bytes: u64,
    pub prompt: Distribution,
    pub turns: Option<Turns>,
    pub texts: usize,
    pub max_tokens: Option<Distribution>,
    /// The mix's own body, with placeholders.
    pub body: Option<String>,
}

/// A conversation that grows: each request repeats all that was said before, and adds a turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Turns {
    pub what: Turn,
    /// Requests of a conversation.
    pub length: Distribution,
    pub answer: Distribution,
    pub reply: Distribution,
    /// Conversations that each generator thread carries on side by side.
    pub at_once: usize,
}

/// A class, ready to be composed from.
#[derive(Debug)]
pub struct Plan {
    pub method: String,
    /// Without and with a stream.
    pub paths: [Vec<Piece>; 2],
    pub headers: Vec<(String, Vec<Piece>)>,
    pub content: Content,
    pub turns: Option<Turns>,
    pub keys: Option<Keys>,
    pub repeat: Option<Repeat>,
    pub think: Distribution,
    /// Share of the requests for which a stream is drawn; where the lines of a corpus say it, none is.
    pub drawn_stream_share: f64,
    /// A corpus whose lines say themselves whether they stream.
    pub lines_stream: bool,
}

#[derive(Debug)]
pub enum Content {
    None,
    /// Without and with a stream.
    Made(Box<[Body; 2]>),
    Corpus(Corpus),
}

/// A body's pieces; those of `turn` are filled once for each turn of a conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Body {
    pub before: Vec<Piece>,
    pub turn: Vec<Piece>,
    pub after: Vec<Piece>,
}

/// Requests that have been sent before, with the same body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Repeat {
    pub share: f64,
    /// Different ones.
    pub of: u64,
}

#[derive(Clone, Debug)]
pub struct Keys {
    pub secrets: Vec<Vec<u8>>,
    pub rank: Weighted,
}

impl Keys {
    pub fn new(secrets: Vec<Vec<u8>>, zipf: f64) -> Self {
        Self {
            rank: Weighted::zipf(secrets.len(), zipf),
            secrets,
        }
    }

    pub fn one(secret: &str) -> Self {
        Self::new(vec![secret.as_bytes().to_vec()], 0.0)
    }

    pub fn draw(&self, dice: &mut Dice) -> &[u8] {
        &self.secrets[self.rank.draw(dice)]
    }
}

impl Wanted {
    pub fn new(dialect: Dialect, kind: Kind) -> Self {
        Self {
            dialect,
            kind,
            model: "sandbox-small".to_owned(),
            method: None,
            path: None,
            headers: Vec::new(),
            system_bytes: 0,
            prompt: Distribution::Constant(1000.0),
            turns: None,
            texts: 1,
            max_tokens: None,
            body: None,
        }
    }

    /// The content of bodies, with and without a stream.
    pub fn made(&self) -> Result<Content, String> {
        let forms = [self.body_text(false)?, self.body_text(true)?];
        let [Some(whole), Some(stream)] = forms else {
            return Ok(Content::None);
        };
        Ok(Content::Made(Box::new([
            self.body_pieces(&whole, false)?,
            self.body_pieces(&stream, true)?,
        ])))
    }

    fn body_text(&self, stream: bool) -> Result<Option<BodyText>, String> {
        let whole = |before| {
            Some(BodyText {
                before,
                ..BodyText::default()
            })
        };
        if let Some(body) = &self.body {
            return Ok(whole(body.clone()));
        }
        let text = match self.kind {
            Kind::Chat => Some(bodies::chat(
                self.dialect,
                bodies::Chat {
                    system: self.system_bytes > 0,
                    turn: self.turns.map(|turns| turns.what),
                    max_tokens: self.max_tokens.is_some(),
                    stream,
                },
            )),
            Kind::Models | Kind::Other => None,
            kind => match bodies::other(self.dialect, kind, self.texts) {
                Some(body) => whole(body),
                None => return Err(self.no_such_thing()),
            },
        };
        Ok(text)
    }

    fn no_such_thing(&self) -> String {
        let name = self.dialect.name();
        format!(
            "the dialect {name} has no {}; choose another dialect, or kind: other with a path of your own",
            self.kind.name()
        )
    }

    fn body_pieces(&self, text: &BodyText, stream: bool) -> Result<Body, String> {
        let parse = |text: &str| template::parse(text.as_bytes(), &|name| self.placeholder(name, stream));
        Ok(Body {
            before: parse(&text.before)?,
            turn: parse(&text.turn)?,
            after: parse(&text.after)?,
        })
    }

    /// Placeholders of bodies.
    pub fn placeholder(&self, name: &str, stream: bool) -> Option<Vec<Piece>> {
        let piece = match name {
            "model" => Piece::Fixed(json_content(&self.model)),
            "prompt" => Piece::Prose(self.prompt),
            "query" => Piece::Prose(Distribution::Constant(QUERY_BYTES)),
            "answer" => Piece::Prose(self.turns?.answer),
            "reply" => Piece::Prose(self.turns?.reply),
            "turn_id" => Piece::TurnId,
            "max_tokens" => Piece::Number(self.max_tokens.unwrap_or(Distribution::Constant(MAX_TOKENS))),
            "stream" => Piece::Fixed(stream.to_string().into_bytes()),
            // The same for every request of every run, as an application's system prompt is.
            "system" => {
                let mut text = Vec::new();
                prose::write(&mut text, Dice::of(0, self.system_bytes), self.system_bytes as usize);
                Piece::Fixed(text)
            }
            _ => return None,
        };
        Some(vec![piece])
    }

    /// The paths, without and with a stream.
    pub fn paths(&self) -> Result<[Vec<Piece>; 2], String> {
        let path = |stream| {
            let text = match &self.path {
                Some(path) => path,
                None => bodies::path(self.dialect, self.kind, stream).ok_or_else(|| match self.kind {
                    Kind::Other => "kind: other needs a path, as in path: /v1/completions".to_owned(),
                    _ => self.no_such_thing(),
                })?,
            };
            let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
            if !text.starts_with('/') || !text.bytes().all(plain) {
                return Err(format!(
                    "'{text}' is no path; write one that begins with / and percent-encode what is not plain ASCII"
                ));
            }
            let model = |name: &str| (name == "model").then(|| vec![Piece::Fixed(percent_encoded(&self.model))]);
            template::parse(text.as_bytes(), &model)
        };
        Ok([path(false)?, path(true)?])
    }

    pub fn header_pieces(&self) -> Result<Vec<(String, Vec<Piece>)>, String> {
        const OURS: [&str; 4] = ["host", "content-length", "transfer-encoding", "connection"];
        let pieces = |(name, value): &(String, String)| {
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            if name.is_empty() || !name.bytes().all(is_token) {
                return Err(format!("'{name}' is no header's name"));
            }
            if OURS.contains(&name.to_ascii_lowercase().as_str()) {
                return Err(format!("the header {name} is the generator's own; leave it out"));
            }
            if value.trim() != value
                || value
                    .bytes()
                    .any(|byte| byte != b'\t' && !(b' '..=b'~').contains(&byte))
            {
                return Err(format!(
                    "the header {name} has a value that is not plain ASCII, or begins or ends with a space"
                ));
            }
            let value =
                template::parse(value.as_bytes(), &|_| None).map_err(|why| format!("the header {name}: {why}"))?;
            Ok((name.to_ascii_lowercase(), value))
        };
        self.headers.iter().map(pieces).collect()
    }

    pub fn method(&self, has_body: bool) -> Result<String, String> {
        match &self.method {
            None if has_body => Ok("POST".to_owned()),
            None => Ok("GET".to_owned()),
            Some(method) if !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase()) => {
                Ok(method.clone())
            }
            Some(method) => Err(format!("'{method}' is no method; write GET or POST")),
        }
    }
}

/// A text as the inside of a JSON string.
fn json_content(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    edit::write_string(&mut out, text);
    out[1..out.len() - 1].to_vec()
}

fn percent_encoded(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte),
            _ => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    out
}

impl Content {
    /// Of a body without turns and stream, sizes as the first dice draw them.
    pub fn plain_bytes(&self) -> u64 {
        let Content::Made(bodies) = self else { return 0 };
        let mut draw = Draw {
            dice: Dice::new(0),
            counter: 0,
            turn_id: 0,
            key: b"",
            length: 0,
        };
        let mut measure = Measure::default();
        template::fill(&bodies[0].before, &mut draw, &mut measure);
        template::fill(&bodies[0].after, &mut draw, &mut measure);
        measure.0
    }
}
