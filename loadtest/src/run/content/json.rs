//! Walks a JSON document once and hands out the strings at a wanted place. Arrays on the way are looked through.
//!
//! Brackets and strings must match; more of the grammar is not checked, for nobody acts on what is found but a count.

use std::borrow::Cow;

use memchr::memchr2;
use tollgate_wire::{
    Span,
    json::cursor::{Kind, Value, string},
};

/// Where a string stands: the keys that lead to it.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub keys: &'static [&'static [u8]],
    /// Of the array behind the first key, only the first element counts: one answer of several asked for.
    pub first_only: bool,
}

/// Brackets or strings do not match, or they are nested too deeply.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

const DEPTH_MOST: usize = 128;
/// What a [`Walk`] knows of a place that lies elsewhere.
const ELSEWHERE: u8 = u8::MAX;

/// Calls `found` with the index of its place and the raw text, for every string that stands at one of `places`.
pub fn walk<'a, const N: usize>(
    json: &'a [u8],
    places: &[Place; N],
    found: impl FnMut(usize, &'a [u8]),
) -> Result<(), Malformed> {
    let mut walk = Walk {
        json,
        at: 0,
        places,
        found,
    };
    walk.value([0; N], 0)?;
    walk.skip_space();
    match walk.at == json.len() {
        true => Ok(()),
        false => Err(Malformed),
    }
}

/// The text that raw string text stands for; what has no escapes is not copied.
pub fn unescaped(raw: &[u8]) -> Option<Cow<'_, [u8]>> {
    if memchr::memchr(b'\\', raw).is_none() {
        return Some(Cow::Borrowed(raw));
    }
    let quoted = [b"\"", raw, b"\""].concat();
    let value = Value {
        span: Span::new(0, quoted.len()),
        kind: Kind::String,
    };
    Some(Cow::Owned(string(&quoted, value)?.into_owned().into_bytes()))
}

struct Walk<'a, 'p, const N: usize, F> {
    json: &'a [u8],
    at: usize,
    places: &'p [Place; N],
    found: F,
}

impl<'a, const N: usize, F: FnMut(usize, &'a [u8])> Walk<'a, '_, N, F> {
    /// `reached` says of each place how many of its keys have been passed.
    fn value(&mut self, reached: [u8; N], depth: usize) -> Result<(), Malformed> {
        match self.token()? {
            b'"' => {
                let raw = self.string()?;
                for (place, reached) in reached.iter().enumerate() {
                    if usize::from(*reached) == self.places[place].keys.len() {
                        (self.found)(place, raw);
                    }
                }
                Ok(())
            }
            b'{' | b'[' if depth == DEPTH_MOST => Err(Malformed),
            b'{' => self.object(reached, depth),
            b'[' => self.array(reached, depth),
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                self.scalar();
                Ok(())
            }
            _ => Err(Malformed),
        }
    }

    fn object(&mut self, reached: [u8; N], depth: usize) -> Result<(), Malformed> {
        self.at += 1;
        if self.token()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            if self.token()? != b'"' {
                return Err(Malformed);
            }
            let key = self.string()?;
            if self.token()? != b':' {
                return Err(Malformed);
            }
            self.at += 1;
            self.value(self.behind(reached, key), depth + 1)?;
            if self.goes_on(b'}')? {
                continue;
            }
            return Ok(());
        }
    }

    fn array(&mut self, mut reached: [u8; N], depth: usize) -> Result<(), Malformed> {
        self.at += 1;
        if self.token()? == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(reached, depth + 1)?;
            if !self.goes_on(b']')? {
                return Ok(());
            }
            for (reached, place) in reached.iter_mut().zip(self.places) {
                if *reached == 1 && place.first_only {
                    *reached = ELSEWHERE;
                }
            }
        }
    }

    /// What is reached by the value of `key`.
    #[inline]
    fn behind(&self, reached: [u8; N], key: &[u8]) -> [u8; N] {
        let mut behind = [ELSEWHERE; N];
        for place in 0..N {
            let wanted = self.places[place].keys.get(usize::from(reached[place]));
            if wanted.is_some_and(|wanted| *wanted == key) {
                behind[place] = reached[place] + 1;
            }
        }
        behind
    }

    /// Behind a member or an element: whether another one follows, or the container's end.
    fn goes_on(&mut self, end: u8) -> Result<bool, Malformed> {
        let token = self.token()?;
        self.at += 1;
        match token {
            b',' => Ok(true),
            token if token == end => Ok(false),
            _ => Err(Malformed),
        }
    }

    /// From the opening quote to behind the closing one; what is between.
    #[inline]
    fn string(&mut self) -> Result<&'a [u8], Malformed> {
        let start = self.at + 1;
        let mut at = start;
        loop {
            // Most strings are keys, for which a wide search costs more than it saves.
            let near = self.json.len().min(at + 16);
            let short = self.json[at..near].iter().position(|byte| matches!(byte, b'"' | b'\\'));
            let found = short.or_else(|| Some(near - at + memchr2(b'"', b'\\', &self.json[near..])?));
            at += found.ok_or(Malformed)?;
            if self.json[at] == b'"' {
                self.at = at + 1;
                return Ok(&self.json[start..at]);
            }
            at += 2;
            if at >= self.json.len() {
                return Err(Malformed);
            }
        }
    }

    fn scalar(&mut self) {
        let rest = &self.json[self.at..];
        let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
        self.at += rest.iter().position(ends).unwrap_or(rest.len());
    }

    fn skip_space(&mut self) {
        while matches!(self.json.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    #[inline]
    fn token(&mut self) -> Result<u8, Malformed> {
        self.skip_space();
        self.json.get(self.at).copied().ok_or(Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: [Place; 2] = [
        Place {
            keys: &[b"choices", b"message", b"content"],
            first_only: true,
        },
        Place {
            keys: &[b"type"],
            first_only: false,
        },
    ];

    fn strings(json: &str) -> Result<Vec<(usize, String)>, Malformed> {
        let mut found = Vec::new();
        walk(json.as_bytes(), &PLACES, |place, raw| {
            found.push((place, String::from_utf8_lossy(raw).into_owned()));
        })?;
        Ok(found)
    }

    #[test]
    fn strings_are_found_where_they_belong_and_nowhere_else() {
        let json = r#" {"id":"x","content":"no","type":"t","choices":[{"index":0,"message":{"role":"a","more":[1,-2.5e3,{}],
            "content":"yes \"quoted\" \\"}},{"message":{"content":"second"}}],"message":{"content":"no"},"n":null,"e":[] } "#;
        let found = strings(json).expect("well formed");
        assert_eq!(found, [(1, "t".to_owned()), (0, r#"yes \"quoted\" \\"#.to_owned())]);
    }

    #[test]
    fn every_cut_of_a_document_is_malformed() {
        let json = r#"{"type":"a long string behind the short search \" and more","choices":[{"message":{"content":"b"}},[]],"n":1}"#;
        assert!(strings(json).is_ok());
        for end in 0..json.len() {
            assert_eq!(strings(&json[..end]), Err(Malformed), "{}", &json[..end]);
        }
        assert_eq!(strings(&format!("{json}}}")), Err(Malformed), "more than a document");
        assert_eq!(strings(&"[".repeat(100_000)), Err(Malformed), "deep");
    }

    #[test]
    fn escapes_stand_for_their_characters() {
        assert_eq!(unescaped(br"a\u00e9\n\\").as_deref(), Some("aé\n\\".as_bytes()));
        assert_eq!(unescaped(br"\ud800"), None);
    }
}
