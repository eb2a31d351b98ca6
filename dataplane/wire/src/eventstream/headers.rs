//! The headers of a message: names and typed values.

/// A header's value, of each type that the format has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Boolean(bool),
    Int8(i8),
    Int16(i16),
    Int32(i32),
    Int64(i64),
    Bytes(&'a [u8]),
    Text(&'a str),
    /// Milliseconds since 1970, before it when negative.
    TimestampMs(i64),
    Uuid([u8; 16]),
}

/// The headers of a message in order. They were proved to be whole.
#[derive(Clone, Debug)]
pub struct Headers<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        header(&mut self.0)
    }
}

/// Do these bytes hold headers and nothing else?
pub(super) fn are_whole(mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        if header(&mut bytes).is_none() {
            return false;
        }
    }
    true
}

/// Takes one header off the front.
fn header<'a>(rest: &mut &'a [u8]) -> Option<(&'a str, Value<'a>)> {
    let name_len = usize::from(*rest.split_off_first()?);
    let name = str::from_utf8(rest.split_off(..name_len)?).ok()?;
    let value = match rest.split_off_first()? {
        0 => Value::Boolean(true),
        1 => Value::Boolean(false),
        2 => Value::Int8(i8::from_be_bytes(array(rest)?)),
        3 => Value::Int16(i16::from_be_bytes(array(rest)?)),
        4 => Value::Int32(i32::from_be_bytes(array(rest)?)),
        5 => Value::Int64(i64::from_be_bytes(array(rest)?)),
        6 => Value::Bytes(counted(rest)?),
        7 => Value::Text(str::from_utf8(counted(rest)?).ok()?),
        8 => Value::TimestampMs(i64::from_be_bytes(array(rest)?)),
        9 => Value::Uuid(array(rest)?),
        _ => return None,
    };
    Some((name, value))
}

fn array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    rest.split_off(..N)?.try_into().ok()
}

/// Bytes behind their length of 16 bits.
fn counted<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::from(u16::from_be_bytes(array(rest)?));
    rest.split_off(..len)
}

/// Appends one header. Names are at most 255 bytes, texts and bytes at most 65,535: they are the caller's own words.
pub(super) fn write(out: &mut Vec<u8>, name: &str, value: &Value<'_>) {
    out.push(u8::try_from(name.len()).expect("a header's name has at most 255 bytes"));
    out.extend_from_slice(name.as_bytes());
    let mut fixed = |kind: u8, bytes: &[u8]| {
        out.push(kind);
        out.extend_from_slice(bytes);
    };
    match value {
        Value::Boolean(true) => fixed(0, b""),
        Value::Boolean(false) => fixed(1, b""),
        Value::Int8(number) => fixed(2, &number.to_be_bytes()),
        Value::Int16(number) => fixed(3, &number.to_be_bytes()),
        Value::Int32(number) => fixed(4, &number.to_be_bytes()),
        Value::Int64(number) => fixed(5, &number.to_be_bytes()),
        Value::Bytes(bytes) => write_counted(out, 6, bytes),
        Value::Text(text) => write_counted(out, 7, text.as_bytes()),
        Value::TimestampMs(number) => fixed(8, &number.to_be_bytes()),
        Value::Uuid(bytes) => fixed(9, bytes),
    }
}

fn write_counted(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    let len = u16::try_from(bytes.len()).expect("a header's value has at most 65,535 bytes");
    out.push(kind);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
}
