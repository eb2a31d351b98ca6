//! The data of events as they pass, however long they are: nothing is held.

use memchr::memchr2;

use super::BOM;

const NAME: &[u8] = b"data";

/// Follows a stream that comes in slices. Lines of other fields, and comments, are passed over; several data lines of an
/// event are joined by LF.
#[derive(Clone, Debug)]
pub struct Pieces {
    at: At,
    /// The event under way has a data line.
    begun: bool,
}

/// Where the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// At the beginning of the stream, behind so many bytes of a byte order mark.
    Stream(usize),
    /// Behind so many bytes of a line that are those of the field's name.
    Name(usize),
    /// Behind the colon: one space belongs to it.
    Colon,
    Data,
    /// In a line that is of no interest.
    Other,
    /// Behind a CR: an LF still belongs to that line end.
    Cr,
}

impl Default for Pieces {
    fn default() -> Self {
        Pieces {
            at: At::Stream(0),
            begun: false,
        }
    }
}

impl Pieces {
    /// Takes bytes up to the end of an event, behind its blank line, and gives where that is: call it again with what is
    /// left. `None`: the input is used up, and the event goes on.
    pub fn feed(&mut self, input: &[u8], mut on_data: impl FnMut(&[u8])) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            match self.at {
                At::Data | At::Other => {
                    let end = memchr2(b'\n', b'\r', &input[at..]).map_or(input.len(), |end| at + end);
                    if self.at == At::Data && end > at {
                        on_data(&input[at..end]);
                    }
                    at = end;
                    if let Some(&byte) = input.get(at) {
                        self.line_ends(byte);
                        at += 1;
                    }
                }
                At::Cr => {
                    at += usize::from(byte == b'\n');
                    self.at = At::Name(0);
                }
                At::Colon => {
                    at += usize::from(byte == b' ');
                    self.at = At::Data;
                }
                At::Stream(matched) if BOM.get(matched) == Some(&byte) => {
                    at += 1;
                    self.at = At::Stream(matched + 1);
                }
                At::Stream(0 | 3) => self.at = At::Name(0),
                // Half a mark is the beginning of some name.
                At::Stream(_) => self.at = At::Other,
                At::Name(matched) => {
                    if self.in_name(byte, matched, &mut on_data) {
                        self.begun = false;
                        let follows = input.get(at + 1) == Some(&b'\n') && byte == b'\r';
                        if follows {
                            self.at = At::Name(0);
                        }
                        return Some(at + 1 + usize::from(follows));
                    }
                    at += 1;
                }
            }
        }
        None
    }

    /// True where the byte ends the event.
    fn in_name(&mut self, byte: u8, matched: usize, on_data: &mut impl FnMut(&[u8])) -> bool {
        let is_end = matches!(byte, b'\n' | b'\r');
        if matched == NAME.len() && (is_end || byte == b':') {
            if std::mem::replace(&mut self.begun, true) {
                on_data(b"\n");
            }
            self.at = At::Colon;
        } else if NAME.get(matched) == Some(&byte) {
            self.at = At::Name(matched + 1);
        } else {
            self.at = At::Other;
        }
        if is_end {
            self.line_ends(byte);
        }
        is_end && matched == 0
    }

    fn line_ends(&mut self, byte: u8) {
        self.at = if byte == b'\r' { At::Cr } else { At::Name(0) };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sse::Splitter;

    fn pieced(stream: &[u8], lengths: &[usize]) -> Vec<Vec<u8>> {
        let (mut pieces, mut events, mut data) = (Pieces::default(), Vec::new(), None);
        let (mut rest, mut lengths) = (stream, lengths.iter().cycle());
        while !rest.is_empty() {
            let length = (*lengths.next().expect("a length")).min(rest.len());
            let mut slice = &rest[..length];
            rest = &rest[length..];
            loop {
                let end = pieces.feed(slice, |piece| {
                    data.get_or_insert_with(Vec::new).extend_from_slice(piece);
                });
                let Some(end) = end else { break };
                events.extend(data.take());
                slice = &slice[end..];
            }
        }
        events
    }

    #[test]
    fn data_comes_as_it_passes() {
        let mut pieces = Pieces::default();
        let mut seen = Vec::new();
        assert_eq!(
            pieces.feed(b"event: x\ndata: abc", |data| seen.push(data.to_vec())),
            None
        );
        assert_eq!(
            pieces.feed(b"def\r\nid: 7\r\n\r\ndata:", |data| seen.push(data.to_vec())),
            Some(14)
        );
        assert_eq!(seen, [b"abc", b"def"]);
    }

    proptest! {
        /// The splitter, which holds whole events, is the measure.
        #[test]
        fn it_finds_what_the_splitter_does_however_the_stream_is_cut(
            stream in "(\u{feff}|\n|\r|\r\n|data|data:|data: |da|datax: |:|event: e| |a|\\{\\}){0,40}",
            lengths in proptest::collection::vec(1..9usize, 1..6),
        ) {
            let stream = [stream.as_bytes(), b"x\n\n"].concat();
            let mut expected = Vec::new();
            let mut splitter = Splitter::new(10_000);
            let split = splitter.feed(&stream, |event| expected.push(event.data.to_vec()));
            prop_assert!(split.is_ok());
            // An event without a byte of data says nothing, and is none here.
            expected.retain(|data| !data.is_empty());
            let mut got = pieced(&stream, &lengths);
            got.retain(|data| !data.is_empty());
            prop_assert_eq!(got, expected);
        }
    }
}
