//! Text from outside in a header: only visible ASCII and spaces may stand there.

/// Appends `name: value\r\n` with every byte of the value that is neither visible ASCII nor a space replaced by `?`.
pub(crate) fn header(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    let fits = |byte: u8| byte == b' ' || is_visible(byte);
    out.extend(value.iter().map(|&byte| if fits(byte) { byte } else { b'?' }));
    out.extend_from_slice(b"\r\n");
}

pub(crate) fn is_visible(byte: u8) -> bool {
    (b'!'..=b'~').contains(&byte)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_list_keeps_its_spaces_and_loses_what_ends_a_header() {
        let mut out = Vec::new();
        super::header(&mut out, b"x-a", b"top_k, seed\r\nb: \x80");
        assert_eq!(out, b"x-a: top_k, seed??b: ?\r\n");
    }
}
