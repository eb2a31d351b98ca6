//! The request lines of calls to a provider: the catalogue's paths with the model in its place.

use tollgate_config::{
    catalogue::{self, Paths, Template, path::write_segment},
    document::Dialect,
};

use crate::{percent, surface::Operation};

/// Paths of one dialect at one provider.
pub(crate) struct CallPath {
    /// Of the address, before every path.
    prefix: Box<str>,
    paths: Paths,
    chat: Cut,
    stream: Cut,
    dialect: Dialect,
}

const MODEL: &str = "{model}";

/// A template taken apart once: looking for its braces in every call would cost more than writing it.
struct Cut {
    before: Box<str>,
    /// What follows the model's name, where the path has one.
    after: Option<Box<str>>,
    query: Option<Box<str>>,
}

impl Cut {
    fn new(template: &Template) -> Cut {
        let (path, query) = split_query(template);
        let (before, after) = match path.split_once(MODEL) {
            Some((before, after)) => (before, Some(after)),
            None => (path, None),
        };
        Cut {
            before: before.into(),
            after: after.map(Into::into),
            query: query.map(Into::into),
        }
    }

    /// Appends path and query.
    fn write(&self, dialect: Dialect, call: &PathCall<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(self.before.as_bytes());
        if let Some(after) = &self.after {
            write_segment(call.model, out);
            out.extend_from_slice(after.as_bytes());
        }
        write_query(self.query.as_deref(), dialect, call, out);
    }
}

/// What a request line is written for.
pub(crate) struct PathCall<'a> {
    pub operation: Operation,
    /// The provider's name of it.
    pub model: &'a str,
    pub stream: bool,
    /// The client's query, where the client's own request passes.
    pub query: Option<&'a [u8]>,
    /// `name=value` that shows who calls.
    pub credential: Option<&'a [u8]>,
}

impl CallPath {
    pub fn new(dialect: Dialect, prefix: &str, paths: Paths) -> CallPath {
        CallPath {
            prefix: prefix.into(),
            chat: Cut::new(&paths.chat),
            stream: Cut::new(&paths.stream),
            paths,
            dialect,
        }
    }

    /// Is the model named in the path, and so not in the body?
    pub fn names_model(&self) -> bool {
        matches!(self.dialect, Dialect::Gemini | Dialect::Bedrock)
    }

    /// Does the path of this operation, another than chats, name the model?
    pub fn has_model_at(&self, operation: &[u8]) -> bool {
        Cut::new(&self.other(operation)).after.is_some()
    }

    /// Appends `POST`, path and query.
    pub fn write(&self, call: &PathCall<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"POST ");
        out.extend_from_slice(self.prefix.as_bytes());
        match call.operation {
            Operation::Chat if call.stream => self.stream.write(self.dialect, call, out),
            Operation::Chat => self.chat.write(self.dialect, call, out),
            // Built for the call: only chats are so many that they must not allocate.
            other => Cut::new(&self.other(other.path())).write(self.dialect, call, out),
        }
    }

    /// The path of `rest` beside the dialect's chats, and the parameters that every path there has; `None` where there is
    /// no such place.
    pub fn beside(&self, rest: &[u8]) -> Option<(Vec<u8>, Option<&str>)> {
        let (path, query) = split_query(&self.paths.chat);
        let base = path.strip_suffix(self.chat())?;
        // Azure has its models, but not its objects, below a deployment.
        let base = base.strip_suffix("/deployments/{model}").unwrap_or(base);
        let path = [self.prefix.as_bytes(), base.as_bytes(), rest].concat();
        (!base.contains('{')).then_some((path, query))
    }

    /// The end of the path of chats that is the dialect's own.
    fn chat(&self) -> &'static str {
        match self.dialect {
            Dialect::OpenAi => "/chat/completions",
            Dialect::OpenAiResponses => "/responses",
            Dialect::Anthropic => "/messages",
            Dialect::Cohere => "/chat",
            Dialect::Gemini => ":generateContent",
            Dialect::Bedrock => "/converse",
        }
    }

    /// Is there a place for it? Where chats do not end as the dialect's do (a cloud's path for somebody else's models), only
    /// what the catalogue names is there besides.
    pub fn offers(&self, operation: Operation) -> bool {
        let (chat, _) = split_query(&self.paths.chat);
        operation == Operation::Chat || chat.ends_with(self.chat()) || self.known(operation.path()).is_some()
    }

    /// The catalogue's path.
    fn known(&self, path: &[u8]) -> Option<&Template> {
        use catalogue::Operation as Known;
        match path {
            b"/embeddings" | b"/embed" | b":embedContent" => self.paths.get(Known::Embed),
            b"/rerank" => self.paths.get(Known::Rerank),
            b"/messages/count_tokens" | b":countTokens" => self.paths.get(Known::CountTokens),
            _ => None,
        }
    }

    /// Where the catalogue says so, else beside the dialect's chats.
    fn other(&self, path: &[u8]) -> Template {
        let beside = || {
            Template::new(
                self.paths
                    .chat
                    .text()
                    .replacen(self.chat(), &String::from_utf8_lossy(path), 1),
            )
        };
        self.known(path).cloned().unwrap_or_else(beside)
    }
}

fn split_query(template: &Template) -> (&str, Option<&str>) {
    match template.text().split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (template.text(), None),
    }
}

/// The template's parameters, then those of the client's that the template has not, then the credential.
fn write_query(own: Option<&str>, dialect: Dialect, call: &PathCall<'_>, out: &mut Vec<u8>) {
    // A client of Gemini says itself how it wants its stream framed.
    let own = own.filter(|query| !(call.query.is_some() && dialect == Dialect::Gemini && *query == "alt=sse"));
    let mut lead = b'?';
    let mut push = |out: &mut Vec<u8>, pair: &[u8]| {
        out.push(lead);
        out.extend_from_slice(pair);
        lead = b'&';
    };
    if let Some(query) = own {
        push(out, query.as_bytes());
    }
    for pair in call.query.into_iter().flat_map(percent::parameters) {
        let known = own.is_some_and(|own| own.split('&').any(|mine| name(mine.as_bytes()) == name(pair)));
        if !known && name(pair) != b"key" {
            push(out, pair);
        }
    }
    if let Some(pair) = call.credential {
        push(out, pair);
    }
}

/// A parameter's name.
fn name(pair: &[u8]) -> &[u8] {
    pair.split(|&byte| byte == b'=').next().unwrap_or_default()
}
