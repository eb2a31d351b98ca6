//! Text from outside in a header: only visible ASCII may stand there.

/// Appends `name: value\r\n` with every byte of the value that is not visible ASCII replaced by `?`.
pub(crate) fn header(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend(value.iter().map(|&byte| if is_visible(byte) { byte } else { b'?' }));
    out.extend_from_slice(b"\r\n");
}

pub(crate) fn is_visible(byte: u8) -> bool {
    (b'!'..=b'~').contains(&byte)
}
