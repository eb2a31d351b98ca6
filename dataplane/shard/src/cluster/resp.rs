//! The store's protocol: commands and replies as bytes. Knows no socket and no script.
//! Source: Redis serialization protocol specification, RESP2.

/// A reply that is longer is none of ours.
pub const MAX_REPLY_BYTES: usize = 4 << 20;
const MAX_ITEMS: usize = 1 << 16;
const MAX_DEPTH: usize = 4;
/// A number or a simple text is a line.
const MAX_LINE_BYTES: usize = 4 << 10;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Number(i64),
    Text(Vec<u8>),
    Nothing,
    List(Vec<Value>),
    /// `MOVED …`, `NOSCRIPT …`.
    Error(String),
}

/// What came is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

pub fn command<'p>(parts: impl ExactSizeIterator<Item = &'p [u8]>, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", parts.len()).as_bytes());
    for part in parts {
        out.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
}

/// A whole reply and how long it is; `None`: more must come.
pub fn reply(bytes: &[u8]) -> Result<Option<(Value, usize)>, Malformed> {
    let mut reader = Reader { bytes, at: 0 };
    match reader.value(0) {
        Ok(value) => Ok(Some((value, reader.at))),
        Err(Stop::More) if bytes.len() < MAX_REPLY_BYTES => Ok(None),
        Err(_) => Err(Malformed),
    }
}

enum Stop {
    More,
    Malformed,
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, Stop> {
        if depth > MAX_DEPTH {
            return Err(Stop::Malformed);
        }
        let line = self.line()?;
        let (kind, rest) = line.split_first().ok_or(Stop::Malformed)?;
        match kind {
            b'+' => Ok(Value::Text(rest.to_vec())),
            b'-' => Ok(Value::Error(String::from_utf8_lossy(rest).into_owned())),
            b':' => number(rest).map(Value::Number),
            b'$' => self.text(number(rest)?),
            b'*' => {
                let count = match usize::try_from(number(rest)?) {
                    Ok(count) if count <= MAX_ITEMS => count,
                    Ok(_) => return Err(Stop::Malformed),
                    Err(_) => return Ok(Value::Nothing),
                };
                // Not made as long as it says to be: what it says may never come.
                let mut items = Vec::new();
                for _ in 0..count {
                    items.push(self.value(depth + 1)?);
                }
                Ok(Value::List(items))
            }
            _ => Err(Stop::Malformed),
        }
    }

    fn line(&mut self) -> Result<Vec<u8>, Stop> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else {
            return Err(if rest.len() > MAX_LINE_BYTES {
                Stop::Malformed
            } else {
                Stop::More
            });
        };
        self.at += end + 2;
        Ok(rest.get(..end).unwrap_or_default().to_vec())
    }

    fn text(&mut self, len: i64) -> Result<Value, Stop> {
        let Ok(len) = usize::try_from(len) else {
            return Ok(Value::Nothing);
        };
        if len > MAX_REPLY_BYTES {
            return Err(Stop::Malformed);
        }
        let end = self.at + len;
        let text = self.bytes.get(self.at..end).ok_or(Stop::More)?.to_vec();
        match self.bytes.get(end..end + 2) {
            None => Err(Stop::More),
            Some(b"\r\n") => {
                self.at = end + 2;
                Ok(Value::Text(text))
            }
            Some(_) => Err(Stop::Malformed),
        }
    }
}

fn number(digits: &[u8]) -> Result<i64, Stop> {
    let text = std::str::from_utf8(digits).map_err(|_| Stop::Malformed)?;
    text.parse().map_err(|_| Stop::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NESTED: &[u8] = b"*5\r\n:0\r\n$3\r\nabc\r\n*1\r\n+OK\r\n$-1\r\n-MOVED 1 h:2\r\n";

    #[test]
    fn replies_are_read_whole_or_not_at_all() {
        let list = Value::List(vec![
            Value::Number(0),
            Value::Text(b"abc".to_vec()),
            Value::List(vec![Value::Text(b"OK".to_vec())]),
            Value::Nothing,
            Value::Error("MOVED 1 h:2".to_owned()),
        ]);
        assert_eq!(reply(NESTED), Ok(Some((list, NESTED.len()))));
        for end in 0..NESTED.len() {
            assert_eq!(reply(&NESTED[..end]), Ok(None), "{end}");
        }
        for bad in [&b"?\r\n"[..], b":x\r\n", b"$3\r\nabcde", b"*99999999\r\n", b"\r\n"] {
            assert_eq!(reply(bad), Err(Malformed), "{bad:?}");
        }
        let deep = b"*1\r\n".repeat(9);
        assert_eq!(reply(&deep), Err(Malformed));
    }

    #[test]
    fn a_command_is_a_list_of_texts() {
        let mut out = Vec::new();
        command([&b"GET"[..], b"a\r\nb"].into_iter(), &mut out);
        assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n");
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = reply(&bytes);
        }
    }
}
