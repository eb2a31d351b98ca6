//! AWS's binary event stream (`application/vnd.amazon.eventstream`), writing only. Pure; knows no provider's events.
//!
//! A message is: total length, headers' length, CRC-32 of those eight bytes, headers, payload, CRC-32 of all before it;
//! numbers are 32 bits, big-endian. A header is its name's length (8 bits), the name, its type (7: text), the value's
//! length (16 bits) and the value.

const TEXT: u8 = 7;
/// Prelude and its CRC, and the message's CRC.
const FRAME_BYTES: usize = 12 + 4;

/// Appends a message of the type `event` with a JSON payload.
pub fn write(out: &mut Vec<u8>, event_type: &str, payload: &[u8]) {
    let headers = [
        (":event-type", event_type),
        (":content-type", "application/json"),
        (":message-type", "event"),
    ];
    let headers_bytes: usize = headers
        .iter()
        .map(|(name, value)| 1 + name.len() + 3 + value.len())
        .sum();
    let start = out.len();
    put_u32(out, FRAME_BYTES + headers_bytes + payload.len());
    put_u32(out, headers_bytes);
    put_crc(out, start);
    for (name, value) in headers {
        out.push(name.len() as u8);
        out.extend_from_slice(name.as_bytes());
        out.push(TEXT);
        out.extend_from_slice(&(value.len() as u16).to_be_bytes());
        out.extend_from_slice(value.as_bytes());
    }
    out.extend_from_slice(payload);
    put_crc(out, start);
}

/// Answers are bounded far below 4 GiB.
fn put_u32(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&(number as u32).to_be_bytes());
}

/// The CRC of everything from `start` on.
fn put_crc(out: &mut Vec<u8>, start: usize) {
    let crc = crc32fast::hash(&out[start..]);
    out.extend_from_slice(&crc.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with another implementation of the format, and read back by the AWS SDK's decoder.
    const KNOWN: &str = "0000007a00000051ca2c46650b3a6576656e742d7479706507000b6d65737361676553746f700d3a636f6e74656e742d\
        747970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b2273746f70526561736f\
        6e223a22656e645f7475726e227d5fbf09fc";

    #[test]
    fn a_known_message_is_written_so() {
        let mut out = b"before".to_vec();
        write(&mut out, "messageStop", br#"{"stopReason":"end_turn"}"#);
        let hex: String = out[6..].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, KNOWN);
    }
}
