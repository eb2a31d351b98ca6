//! Text that goes into a JSON document, and the spans that an edit leaves as they came.

use super::cursor::Value;
use crate::Span;

/// Appends `text` as a JSON string, quotes included.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    write_escaped(out, text);
    out.push(b'"');
}

/// Appends `text` as it stands between the quotes of a JSON string.
pub fn write_escaped(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    loop {
        let plain = super::plain::plain_end(rest, 0);
        out.extend_from_slice(&rest[..plain]);
        let Some(byte) = rest.get(plain) else { break };
        write_escape(out, *byte);
        rest = &rest[plain + 1..];
    }
}

fn write_escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            let hex = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// What stays before and behind `value` when something else is sent in its place: three spans, no other byte touched.
pub fn around(buf: &[u8], value: Value) -> (Span, Span) {
    (
        Span::new(0, value.span.start as usize),
        Span::new(value.span.end as usize, buf.len()),
    )
}

/// The span to leave out so that the member whose value was found is gone, with one of the commas beside it.
/// `value` must have been found in `buf` by the cursor.
pub fn member(buf: &[u8], value: Value) -> Span {
    let Span { start, end } = value.span;
    let start = key_start(buf, start as usize);
    let behind = skip_space(buf, end as usize);
    if buf.get(behind) == Some(&b',') {
        return Span::new(start, skip_space(buf, behind + 1));
    }
    let before = trim_space(buf, start);
    let with_comma = before > 0 && buf[before - 1] == b',';
    Span::new(if with_comma { before - 1 } else { start }, end as usize)
}

/// Where the key of the value at `value_start` begins, its opening quote included.
///
/// Outside strings there are no backslashes, and within the key every quote has an odd number of them before it:
/// the first quote to the left that has not is the opening one.
fn key_start(buf: &[u8], value_start: usize) -> usize {
    let colon = trim_space(buf, value_start) - 1;
    let closing_quote = trim_space(buf, colon) - 1;
    let mut before = &buf[..closing_quote];
    loop {
        let quote = memchr::memrchr(b'"', before).unwrap_or(0);
        before = &before[..quote];
        let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
        if backslashes % 2 == 0 {
            return quote;
        }
    }
}

fn skip_space(buf: &[u8], mut at: usize) -> usize {
    while buf.get(at).is_some_and(is_space) {
        at += 1;
    }
    at
}

/// Where the white space that ends at `at` begins.
fn trim_space(buf: &[u8], mut at: usize) -> usize {
    while at > 0 && is_space(&buf[at - 1]) {
        at -= 1;
    }
    at
}

fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::cursor;

    #[test]
    fn a_member_leaves_with_one_comma() {
        let table = [
            (r#"{"usage":null}"#, r#"{}"#),
            (r#"{"a":1,"usage":null}"#, r#"{"a":1}"#),
            (r#"{"usage":null,"a":1}"#, r#"{"a":1}"#),
            (r#"{"a":1 , "usage" : {"x":[1]} , "b":2}"#, r#"{"a":1 , "b":2}"#),
            (r#"{ "a":"\"" ,"usage" : null }"#, r#"{ "a":"\""  }"#),
            (r#"{"a":1,"\u0075sage":null}"#, r#"{"a":1}"#),
        ];
        for (document, expected) in table {
            let [usage] = cursor::find(document.as_bytes(), &["usage"]).expect(document);
            let gone = member(document.as_bytes(), usage.expect(document));
            let left = format!("{}{}", &document[..gone.start as usize], &document[gone.end as usize..]);
            assert_eq!(left, expected);
        }
        let tricky = r#"{"a":1,"x\\\"y\\":2}"#;
        let [value] = cursor::find(tricky.as_bytes(), &["x\\\"y\\"]).expect("valid");
        assert_eq!(
            member(tricky.as_bytes(), value.expect("found")).of(tricky.as_bytes()),
            br#","x\\\"y\\":2"#
        );
    }

    #[test]
    fn everything_but_the_value_stays() {
        let document = br#"{ "model" : "a\u0062c", "other":[1, 2] }"#;
        let [model] = cursor::find(document, &["model"]).expect("valid");
        let (before, behind) = around(document, model.expect("found"));
        assert_eq!(before.of(document), br#"{ "model" : "#);
        assert_eq!(behind.of(document), br#", "other":[1, 2] }"#);
    }

    proptest! {
        #[test]
        fn a_written_string_reads_as_itself(text in any::<String>()) {
            let mut out = b"{\"k\":".to_vec();
            write_string(&mut out, &text);
            out.push(b'}');
            let [value] = cursor::find(&out, &["k"]).expect("valid");
            let read = cursor::string(&out, value.expect("found")).expect("a string");
            prop_assert_eq!(&*read, text.as_str());
        }
    }
}
