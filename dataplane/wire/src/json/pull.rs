//! Reads a document from front to back and proves it on the way: for whoever wants a little of all of it, and reads it once.

use super::{
    cursor::{self, BadJson, MAX_DEPTH},
    scan::{NO_COMMA, Scan},
};

/// A place in a document, before a value or behind it.
pub struct Pull<'a> {
    scan: Scan<'a>,
    /// Containers that are open.
    depth: usize,
}

impl<'a> Pull<'a> {
    /// Before the document.
    pub fn new(buf: &'a [u8]) -> Result<Self, BadJson> {
        cursor::utf8(buf)?;
        let mut scan = Scan { buf, at: 0 };
        scan.next_token();
        Ok(Self { scan, depth: 0 })
    }

    /// The object that begins here. `each` is given the key of each member as it stands, and whether there are escapes in it;
    /// it has to take the value.
    pub fn object(
        &mut self,
        mut each: impl FnMut(&mut Self, &'a [u8], bool) -> Result<(), BadJson>,
    ) -> Result<(), BadJson> {
        if !self.open([b'{', b'}'])? {
            return Ok(());
        }
        loop {
            let start = self.scan.at + 1;
            let escapes = self.scan.key()?;
            let key = &self.scan.buf[start..self.scan.at - 1];
            self.scan.colon()?;
            self.scan.next_token();
            each(self, key, escapes)?;
            if !self.goes_on(b'}')? {
                return Ok(());
            }
        }
    }

    /// The array that begins here. `each` has to take an element.
    pub fn array(&mut self, mut each: impl FnMut(&mut Self) -> Result<(), BadJson>) -> Result<(), BadJson> {
        if !self.open([b'[', b']'])? {
            return Ok(());
        }
        loop {
            each(self)?;
            if !self.goes_on(b']')? {
                return Ok(());
            }
        }
    }

    /// Takes the value that begins here, whatever it is, and gives its bytes.
    pub fn value(&mut self) -> Result<&'a [u8], BadJson> {
        let start = self.scan.at;
        self.scan.value(MAX_DEPTH - self.depth)?;
        Ok(&self.scan.buf[start..self.scan.at])
    }

    /// Behind the document nothing may come.
    pub fn end(mut self) -> Result<(), BadJson> {
        self.scan.next_token();
        match self.scan.at < self.scan.buf.len() {
            true => self.scan.fault("bytes after the end of the document"),
            false => Ok(()),
        }
    }

    /// True where the container has anything in it.
    fn open(&mut self, [open, close]: [u8; 2]) -> Result<bool, BadJson> {
        if self.scan.peek() != open {
            return self.scan.fault("another value than the one that belongs here");
        }
        if self.depth == MAX_DEPTH {
            return self.scan.fault("nested too deeply");
        }
        self.scan.at += 1;
        if self.scan.next_token() == close {
            self.scan.at += 1;
            return Ok(false);
        }
        self.depth += 1;
        Ok(true)
    }

    fn goes_on(&mut self, close: u8) -> Result<bool, BadJson> {
        let next = self.scan.next_token();
        if next != b',' && next != close {
            return self.scan.fault(NO_COMMA);
        }
        self.scan.at += 1;
        if next == close {
            self.depth -= 1;
            return Ok(false);
        }
        self.scan.next_token();
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads objects and arrays by their parts, down to `levels`, and what is deeper as a whole.
    fn read(pull: &mut Pull<'_>, levels: usize) -> Result<(), BadJson> {
        match pull.scan.peek() {
            b'{' if levels > 0 => pull.object(|pull, _, _| read(pull, levels - 1)),
            b'[' if levels > 0 => pull.array(|pull| read(pull, levels - 1)),
            _ => pull.value().map(|_| ()),
        }
    }

    fn is_read(text: &str, levels: usize) -> bool {
        let mut pull = Pull::new(text.as_bytes()).expect("UTF-8");
        read(&mut pull, levels).is_ok() && pull.end().is_ok()
    }

    #[test]
    fn it_takes_what_the_cursor_proves_and_nothing_else() {
        let deep = |levels: usize| format!("{}{}", r#"{"a":"#.repeat(levels), "}".repeat(levels)).replace(":}", ":1}");
        let texts = [
            r#"{}"#,
            r#" { "a" : [ 1 , { "b\n" : "c" } , [] , {} ] , "a" : null } "#,
            r#"{"a":1,}"#,
            r#"{"a" 1}"#,
            r#"{,"a":1}"#,
            r#"{"a":[1,]}"#,
            r#"{"a":[,1]}"#,
            r#"{"a":[1 2]}"#,
            r#"{"a":[1}}"#,
            r#"{"a":{"b":1]}"#,
            r#"{"a":1}}"#,
            r#"{"a":1"#,
            r#"{"a""#,
            r#"{"a":01}"#,
            "{\"a\":\"\n\"}",
        ];
        for text in texts.map(str::to_owned).into_iter().chain([deep(128), deep(129)]) {
            let is_proved = cursor::prove(text.as_bytes()).is_ok();
            for levels in [0, 1, 2, 3, 200] {
                assert_eq!(is_read(&text, levels), is_proved, "{text} by {levels} levels");
            }
        }
    }

    #[test]
    fn keys_and_values_are_given_as_they_stand() {
        let mut pull = Pull::new(br#"{"a\u0041": "x" ,"b":[1, "y"]}"#).expect("UTF-8");
        let mut seen = Vec::new();
        let read = pull.object(|pull, key, escapes| {
            seen.push((key, escapes, pull.value()?));
            Ok(())
        });
        assert_eq!(read, Ok(()));
        let expected: [(&[u8], bool, &[u8]); 2] = [(br"a\u0041", true, br#""x""#), (b"b", false, br#"[1, "y"]"#)];
        assert_eq!(seen, expected);
    }
}
