//! Cuts a JSON array that comes in slices into its elements: a stream without `alt=sse`.
//!
//! It follows brackets and strings; what it cuts out is read by who knows the grammar. A bare object is taken for an
//! array of one: what Google sends when a stream fails before it begins.

use crate::canonical::bad::BadAnswer;

#[derive(Debug)]
pub(super) struct Elements {
    max_element_bytes: usize,
    /// The element under way.
    held: Vec<u8>,
    /// Brackets open within it.
    depth: usize,
    in_text: bool,
    is_escaped: bool,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Before,
    /// Between elements, and in them.
    Inside,
    /// In an object without an array around it.
    Bare,
    Behind,
}

impl Elements {
    pub fn new(max_element_bytes: usize) -> Elements {
        Elements {
            max_element_bytes,
            held: Vec::new(),
            depth: 0,
            in_text: false,
            is_escaped: false,
            place: Place::Before,
        }
    }

    pub fn feed(
        &mut self,
        bytes: &[u8],
        mut on_element: impl FnMut(&[u8]) -> Result<(), BadAnswer>,
    ) -> Result<(), BadAnswer> {
        let mut start = 0;
        for (at, &byte) in bytes.iter().enumerate() {
            if self.depth == 0 {
                self.between(byte)?;
                start = at;
            } else {
                self.within(byte);
            }
            if self.depth == 0 && matches!(byte, b'}' | b']') && self.place != Place::Behind {
                self.hold(&bytes[start..=at])?;
                on_element(&self.held)?;
                self.held.clear();
                if self.place == Place::Bare {
                    self.place = Place::Behind;
                }
            }
        }
        match self.depth {
            0 => Ok(()),
            _ => self.hold(&bytes[start..]),
        }
    }

    /// Has the end of the array come?
    pub fn is_complete(&self) -> bool {
        self.place == Place::Behind
    }

    fn between(&mut self, byte: u8) -> Result<(), BadAnswer> {
        match (byte, self.place) {
            (b' ' | b'\t' | b'\r' | b'\n', _) | (b',', Place::Inside) => {}
            (b'[', Place::Before) => self.place = Place::Inside,
            (b'{', Place::Before) => {
                self.place = Place::Bare;
                self.depth = 1;
            }
            (b'{', Place::Inside) => self.depth = 1,
            (b']', Place::Inside) => self.place = Place::Behind,
            _ => return Err(BadAnswer::new("it is no array of responses")),
        }
        Ok(())
    }

    fn within(&mut self, byte: u8) {
        match byte {
            _ if self.is_escaped => self.is_escaped = false,
            b'\\' if self.in_text => self.is_escaped = true,
            b'"' => self.in_text = !self.in_text,
            b'{' | b'[' if !self.in_text => self.depth += 1,
            b'}' | b']' if !self.in_text => self.depth -= 1,
            _ => {}
        }
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), BadAnswer> {
        if self.held.len() + bytes.len() > self.max_element_bytes {
            return Err(BadAnswer::new("an element of it is longer than the gateway reads"));
        }
        self.held.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, slice: usize) -> (Result<Vec<String>, BadAnswer>, bool) {
        let mut elements = Elements::new(20);
        let mut found = Vec::new();
        for slice in text.as_bytes().chunks(slice) {
            let fed = elements.feed(slice, |element| {
                found.push(String::from_utf8_lossy(element).into_owned());
                Ok(())
            });
            if let Err(bad) = fed {
                return (Err(bad), false);
            }
        }
        (Ok(found), elements.is_complete())
    }

    #[test]
    fn elements_are_found_wherever_the_bytes_are_cut() {
        for (text, found, is_complete) in [
            ("[]", &[][..], true),
            (
                " [ {\"a\":1}\n,\r\n{\"b\":[{}]} ] ",
                &["{\"a\":1}", "{\"b\":[{}]}"][..],
                true,
            ),
            ("[{\"a\":\"}]\\\"{\"}", &["{\"a\":\"}]\\\"{\"}"][..], false),
            ("{\"a\":{}}", &["{\"a\":{}}"][..], true),
            ("[{\"a\":", &[][..], false),
            ("[{\"\\\\\":1},{}]", &["{\"\\\\\":1}", "{}"][..], true),
        ] {
            for slice in 1..=text.len() {
                let (read, complete) = cut(text, slice);
                assert_eq!(
                    read.as_deref().ok(),
                    Some(&found.iter().map(|f| (*f).to_owned()).collect::<Vec<_>>()[..])
                );
                assert_eq!(complete, is_complete, "{text} by {slice}");
            }
        }
    }

    #[test]
    fn what_is_no_array_of_objects_is_refused() {
        for text in ["x", "[1]", "[{}]x", "{}{}", "[{}][", "[{\"a\":\"0123456789012345\"}]"] {
            for slice in 1..=text.len() {
                assert!(cut(text, slice).0.is_err(), "{text} by {slice}");
            }
        }
    }
}
