//! Message heads as offsets into the buffer they arrived in, and views that join the two.
//!
//! The views say nothing of HTTP/1: an HTTP/2 reader can fill the same structures.

use crate::Span;

/// Request methods the gateway tells apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    /// CONNECT, TRACE and any other token.
    Other,
}

impl Method {
    /// Methods are case-sensitive (RFC 9110 §9.1).
    pub fn of(token: &[u8]) -> Method {
        match token {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"PATCH" => Method::Patch,
            b"DELETE" => Method::Delete,
            b"OPTIONS" => Method::Options,
            _ => Method::Other,
        }
    }
}

/// Headers the gateway acts on, tagged once while the head is parsed. `Other` is forwarded as it came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Known {
    #[default]
    Other = 0,
    Accept,
    AcceptEncoding,
    AccessControlRequestHeaders,
    AccessControlRequestMethod,
    AnthropicVersion,
    ApiKey,
    Authorization,
    Connection,
    ContentEncoding,
    ContentLength,
    ContentType,
    Cookie,
    Date,
    Expect,
    Forwarded,
    Host,
    IdempotencyKey,
    KeepAlive,
    OpenaiOrganization,
    OpenaiProject,
    Origin,
    ProxyAuthenticate,
    ProxyAuthorization,
    ProxyConnection,
    RequestId,
    RetryAfter,
    Server,
    SetCookie,
    Te,
    Trailer,
    TransferEncoding,
    Upgrade,
    XApiKey,
    /// Any `x-forwarded-*`; the client's address alone is read from `XForwardedFor`.
    XForwarded,
    XForwardedFor,
    XGoogApiKey,
    /// `x-ratelimit-*` and `anthropic-ratelimit-*`.
    XRatelimit,
    XRequestId,
    XTollgateCache,
    /// Any other `x-tollgate-*`.
    XTollgate,
    XTollgateTags,
    XTollgateTimeout,
}

impl Known {
    pub const COUNT: usize = Known::XTollgateTimeout as usize + 1;
}

/// One header line, in order of arrival. `hop` marks hop-by-hop fields (RFC 9110 §7.6.1), those that
/// `Connection` named included: they are never forwarded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Field {
    pub name: Span,
    pub value: Span,
    pub known: Known,
    pub hop: bool,
}

/// All header lines and, per known header, the index of its first line.
#[derive(Clone, Debug)]
pub struct Fields {
    pub lines: Vec<Field>,
    first: [u16; Known::COUNT],
}

const ABSENT: u16 = u16::MAX;

impl Default for Fields {
    fn default() -> Self {
        Self {
            lines: Vec::new(),
            first: [ABSENT; Known::COUNT],
        }
    }
}

impl Fields {
    pub fn clear(&mut self) {
        self.lines.clear();
        self.first = [ABSENT; Known::COUNT];
    }

    /// Adds a line; the caller's limits keep the number of lines below 65,535.
    pub fn push(&mut self, field: Field) {
        let slot = &mut self.first[field.known as usize];
        if *slot == ABSENT {
            *slot = self.lines.len() as u16;
        }
        self.lines.push(field);
    }

    /// The first line of a known header.
    pub fn get(&self, known: Known) -> Option<&Field> {
        self.lines.get(self.first[known as usize] as usize)
    }
}

/// How a message's body ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    #[default]
    None,
    Length(u64),
    Chunked,
    /// Responses only: until the peer closes.
    UntilClose,
}

/// A request's head. Reused from request to request: `clear` keeps its allocations.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    pub method: Method,
    /// The method token as sent.
    pub method_token: Span,
    /// Path without query, as sent (percent-encoded), after the authority of an absolute-form target was taken off.
    pub path: Span,
    /// What follows `?`, without it; empty when absent.
    pub query: Span,
    pub fields: Fields,
    pub framing: Framing,
    /// Bytes the head took, the empty line included.
    pub len: usize,
    pub http_1_0: bool,
    /// The client wants the connection kept (version and `Connection` considered).
    pub keep_alive: bool,
    pub expect_continue: bool,
    /// `Upgrade` was asked for (refused by the gateway with 501 for WebSockets, otherwise ignored).
    pub upgrade: bool,
}

impl RequestHead {
    /// Empties the head and keeps its allocations.
    pub fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        *self = RequestHead {
            fields,
            ..RequestHead::default()
        };
    }
}

/// A final response's head (1xx heads are skipped by the reader).
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    pub status: u16,
    pub fields: Fields,
    pub framing: Framing,
    pub len: usize,
    pub keep_alive: bool,
}

impl ResponseHead {
    /// Empties the head and keeps its allocations.
    pub fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        *self = ResponseHead {
            fields,
            ..ResponseHead::default()
        };
    }
}

/// A request head together with the bytes its spans point into.
#[derive(Clone, Copy)]
pub struct RequestView<'a> {
    pub head: &'a RequestHead,
    pub buf: &'a [u8],
}

/// A response head together with the bytes its spans point into.
#[derive(Clone, Copy)]
pub struct ResponseView<'a> {
    pub head: &'a ResponseHead,
    pub buf: &'a [u8],
}

/// A value that is one decimal number.
pub fn number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

impl Fields {
    /// The first field of a name that is none of the known ones, in whichever case.
    pub fn named(&self, name: &[u8], buf: &[u8]) -> Option<&Field> {
        let mut lines = self.lines.iter();
        lines.find(|field| field.name.of(buf).eq_ignore_ascii_case(name))
    }
}

impl<'a> RequestView<'a> {
    /// The value of a field that need not be a known one; a known one is found quicker with `get`.
    pub fn named(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.head.fields.named(name, self.buf).map(|f| f.value.of(self.buf))
    }

    pub fn get(&self, known: Known) -> Option<&'a [u8]> {
        self.head.fields.get(known).map(|f| f.value.of(self.buf))
    }

    pub fn path(&self) -> &'a [u8] {
        self.head.path.of(self.buf)
    }

    pub fn query(&self) -> &'a [u8] {
        self.head.query.of(self.buf)
    }
}

impl<'a> ResponseView<'a> {
    /// The value of a field that need not be a known one; a known one is found quicker with `get`.
    pub fn named(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.head.fields.named(name, self.buf).map(|f| f.value.of(self.buf))
    }

    pub fn get(&self, known: Known) -> Option<&'a [u8]> {
        self.head.fields.get(known).map(|f| f.value.of(self.buf))
    }
}
