//! Writes heads. Values come from parsed heads or from ourselves; `header` asserts that none carries CR or LF.

/// Appends `HTTP/1.1 <status> <reason>\r\n`.
pub fn status_line(out: &mut Vec<u8>, status: u16) {
    let _ = (out, status);
    todo!()
}

/// Appends `<method> <target> HTTP/1.1\r\n`.
pub fn request_line(out: &mut Vec<u8>, method: &[u8], target: &[u8]) {
    let _ = (out, method, target);
    todo!()
}

/// Appends `name: value\r\n`.
pub fn header(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let _ = (out, name, value);
    todo!()
}

/// Appends `name: <decimal>\r\n`.
pub fn header_u64(out: &mut Vec<u8>, name: &[u8], value: u64) {
    let _ = (out, name, value);
    todo!()
}

/// The reason phrase of RFC 9110 §15 (and 529), empty when unknown.
pub fn reason(status: u16) -> &'static str {
    let _ = status;
    todo!()
}
