//! Where a stream may be cut: behind a whole event of server-sent events, behind a whole frame of AWS's. Knows nothing of what
//! they say.

/// How a stream is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Units {
    /// Each ends with an empty line.
    Events,
    /// Each begins with its length.
    Frames,
}

/// The first four bytes of a frame are its length, big-endian. Source: Smithy 2.0, "Amazon Event Stream Specification".
const LENGTH_BYTES: usize = 4;

impl Units {
    /// The length of the first unit of `bytes`, where all of it is there. `searched` bytes of it were looked at before, in
    /// vain.
    pub fn first(self, bytes: &[u8], searched: usize) -> Option<usize> {
        match self {
            Units::Events => event(bytes, searched),
            Units::Frames => {
                let length = bytes.first_chunk::<LENGTH_BYTES>()?;
                let length = (u32::from_be_bytes(*length) as usize).max(LENGTH_BYTES);
                (bytes.len() >= length).then_some(length)
            }
        }
    }
}

/// An empty line is two line ends, each LF, CR or CRLF.
fn event(bytes: &[u8], searched: usize) -> Option<usize> {
    // The first of the two line ends may have been seen already.
    let mut at = searched.saturating_sub(3);
    while let Some(found) = memchr::memchr2(b'\n', b'\r', bytes.get(at..)?) {
        at += found;
        let first = line_end(bytes, at)?;
        match bytes.get(first) {
            Some(b'\n' | b'\r') => return line_end(bytes, first),
            Some(_) => at = first,
            None => return None,
        }
    }
    None
}

/// Behind the line end at `at`; none where an LF may still come that belongs to it.
fn line_end(bytes: &[u8], at: usize) -> Option<usize> {
    match (bytes.get(at)?, bytes.get(at + 1)) {
        (b'\r', Some(b'\n')) => Some(at + 2),
        (b'\r', None) => None,
        _ => Some(at + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_ends_with_an_empty_line_and_a_frame_where_it_says() {
        for (text, end) in [
            ("data: a\n\ndata: b", Some(9)),
            ("data: a\r\n\r\nx", Some(11)),
            ("data: a\r\r\n", Some(10)),
            ("data: a\n", None),
            ("data: a\r\n\r", None),
            ("\n\n", Some(2)),
            ("", None),
        ] {
            assert_eq!(Units::Events.first(text.as_bytes(), 0), end, "{text:?}");
            for searched in 0..text.len() {
                let before = Units::Events.first(&text.as_bytes()[..searched], 0);
                if before.is_none() {
                    assert_eq!(
                        Units::Events.first(text.as_bytes(), searched),
                        end,
                        "{text:?} {searched}"
                    );
                }
            }
        }
        let frame = [0, 0, 0, 6, 1, 2, 9];
        assert_eq!(Units::Frames.first(&frame, 0), Some(6));
        assert_eq!(Units::Frames.first(&frame[..5], 5), None);
        assert_eq!(Units::Frames.first(&[0, 0, 0, 0, 7], 0), Some(4));
    }
}
