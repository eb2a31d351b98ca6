//! Writes messages.

use super::{CRC_BYTES, PRELUDE_BYTES, Value, headers};

/// Appends a message. `payload` appends its payload and nothing else, and leaves alone what stands before.
pub fn write(out: &mut Vec<u8>, headers: &[(&str, Value<'_>)], payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; PRELUDE_BYTES]);
    for (name, value) in headers {
        headers::write(out, name, value);
    }
    let headers_bytes = out.len() - start - PRELUDE_BYTES;
    payload(out);
    let total = out.len() - start + CRC_BYTES;
    put(out, start, length(total));
    put(out, start + 4, length(headers_bytes));
    let crc = crc32fast::hash(&out[start..start + 8]);
    put(out, start + 8, crc);
    let crc = crc32fast::hash(&out[start..]);
    out.extend_from_slice(&crc.to_be_bytes());
}

/// Appends an event of a service that speaks JSON.
pub fn write_event(out: &mut Vec<u8>, event_type: &str, payload: impl FnOnce(&mut Vec<u8>)) {
    write_json(out, ":event-type", event_type, "event", payload);
}

/// Appends an exception, with which such a service ends a stream that it cannot go on with.
pub fn write_exception(out: &mut Vec<u8>, exception_type: &str, payload: impl FnOnce(&mut Vec<u8>)) {
    write_json(out, ":exception-type", exception_type, "exception", payload);
}

fn write_json(out: &mut Vec<u8>, key: &str, kind: &str, message_type: &str, payload: impl FnOnce(&mut Vec<u8>)) {
    let headers = [
        (key, Value::Text(kind)),
        (":content-type", Value::Text("application/json")),
        (":message-type", Value::Text(message_type)),
    ];
    write(out, &headers, payload);
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a message is bounded far below 4 GiB")
}

fn put(out: &mut [u8], at: usize, number: u32) {
    out[at..at + 4].copy_from_slice(&number.to_be_bytes());
}
