//! Writes JSON. Commas are its own affair: one goes before whatever follows a complete value.

use tollgate_wire::json::edit;

use super::{Json, Number, Text};

/// Appends to a buffer. What was opened must be closed by the caller.
#[derive(Debug)]
pub struct Out<'o> {
    pub bytes: &'o mut Vec<u8>,
    /// What stood in the buffer before is not ours to continue.
    start: usize,
}

impl<'o> Out<'o> {
    pub fn new(bytes: &'o mut Vec<u8>) -> Out<'o> {
        let start = bytes.len();
        Out { bytes, start }
    }

    fn separate(&mut self) -> &mut Self {
        // Within JSON as this type writes it, only a bracket or a colon stands where no comma may follow.
        let first = self.bytes.len() == self.start;
        if !first && !matches!(self.bytes.last(), Some(b'{' | b'[' | b':' | b',')) {
            self.bytes.push(b',');
        }
        self
    }

    fn plain(&mut self, text: &[u8]) -> &mut Self {
        self.separate();
        self.bytes.extend_from_slice(text);
        self
    }

    pub fn open(&mut self) -> &mut Self {
        self.plain(b"{")
    }

    pub fn close(&mut self) -> &mut Self {
        self.bytes.push(b'}');
        self
    }

    pub fn open_list(&mut self) -> &mut Self {
        self.plain(b"[")
    }

    pub fn close_list(&mut self) -> &mut Self {
        self.bytes.push(b']');
        self
    }

    /// A key of ours: it needs no escapes.
    pub fn key(&mut self, key: &str) -> &mut Self {
        self.separate();
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(key.as_bytes());
        self.bytes.extend_from_slice(b"\":");
        self
    }

    /// A key that may need escapes.
    pub fn string_key(&mut self, key: &str) -> &mut Self {
        self.string(key);
        self.bytes.push(b':');
        self
    }

    pub fn string(&mut self, text: &str) -> &mut Self {
        self.separate();
        edit::write_string(self.bytes, text);
        self
    }

    pub fn text(&mut self, text: &Text<'_>) -> &mut Self {
        self.separate();
        self.bytes.push(b'"');
        text.write_escaped(self.bytes);
        self.bytes.push(b'"');
        self
    }

    /// Bytes that are one JSON value.
    pub fn raw(&mut self, value: &[u8]) -> &mut Self {
        self.plain(value)
    }

    /// The value as a string that holds its text.
    pub fn quoted(&mut self, value: &Json<'_>) -> &mut Self {
        self.separate();
        value.write_quoted(self.bytes);
        self
    }

    pub fn unsigned(&mut self, number: u64) -> &mut Self {
        self.plain(itoa::Buffer::new().format(number).as_bytes())
    }

    pub fn number(&mut self, number: Number<'_>) -> &mut Self {
        self.plain(number.raw())
    }

    pub fn boolean(&mut self, value: bool) -> &mut Self {
        self.plain(if value { b"true" } else { b"false" })
    }

    pub fn null(&mut self) -> &mut Self {
        self.plain(b"null")
    }
}
