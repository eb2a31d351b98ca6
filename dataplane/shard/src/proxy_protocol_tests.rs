//! Tables of good and bad headers, and that any split of one into reads gives the same answer.

use proptest::prelude::*;

use super::*;

fn complete(client: &str, len: usize) -> Result<Preamble, BadPreamble> {
    let client = (!client.is_empty()).then(|| client.parse().expect("an address"));
    Ok(Preamble::Complete { client, len })
}

fn header_v2(version_command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = V2_SIGNATURE.to_vec();
    bytes.extend_from_slice(&[version_command, family]);
    bytes.extend_from_slice(&(body.len() as u16).to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fn tcp4_body() -> Vec<u8> {
    vec![192, 0, 2, 7, 10, 0, 0, 1, 0x1f, 0x90, 0x00, 0x50]
}

fn tcp6_body() -> Vec<u8> {
    let source: Ipv6Addr = "2001:db8::9".parse().expect("an address");
    let destination: Ipv6Addr = "::1".parse().expect("an address");
    [
        &source.octets()[..],
        &destination.octets()[..],
        &[0x1f, 0x90, 0x00, 0x50],
    ]
    .concat()
}

#[test]
fn version_1() {
    let cases: [(&str, Result<Preamble, BadPreamble>); 15] = [
        (
            "PROXY TCP4 192.0.2.7 10.0.0.1 8080 80\r\nGET",
            complete("192.0.2.7:8080", 39),
        ),
        (
            "PROXY TCP6 2001:db8::9 ::1 8080 80\r\n",
            complete("[2001:db8::9]:8080", 36),
        ),
        ("PROXY UNKNOWN\r\n", complete("", 15)),
        ("PROXY UNKNOWN whatever it says\r\n", complete("", 32)),
        (
            "PROXY TCP4 192.0.2.7 10.0.0.1 8080 80\n",
            Err(BadPreamble("a line without CR LF")),
        ),
        (
            "PROXY TCP4 2001:db8::9 ::1 1 2\r\n",
            Err(BadPreamble("a version 1 line with a bad source address")),
        ),
        (
            "PROXY TCP4 192.0.2.7 x 1 2\r\n",
            Err(BadPreamble("a version 1 line with a bad destination address")),
        ),
        (
            "PROXY TCP4 192.0.2.7 10.0.0.1 1\r\n",
            Err(BadPreamble("a version 1 line with too few fields")),
        ),
        (
            "PROXY TCP4 192.0.2.7 10.0.0.1 1 2 3\r\n",
            Err(BadPreamble("a version 1 line with too many fields")),
        ),
        (
            "PROXY TCP4 192.0.2.7 10.0.0.1 65536 2\r\n",
            Err(BadPreamble("a version 1 line with a bad port")),
        ),
        (
            "PROXY TCP4 192.0.2.7 10.0.0.1 +1 2\r\n",
            Err(BadPreamble("a version 1 line with a bad port")),
        ),
        (
            "PROXY TCP4 192.0.2.7 10.0.0.1 01 2\r\n",
            Err(BadPreamble("a version 1 line with a bad port")),
        ),
        ("GET / HTTP/1.1\r\n", Err(BadPreamble("neither version 1 nor 2"))),
        ("POST / HTTP/1.1\r\n", Err(BadPreamble("neither version 1 nor 2"))),
        ("", Ok(Preamble::Incomplete)),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(text.as_bytes()), expected, "{text:?}");
    }
    let endless = format!("PROXY UNKNOWN {}", "x".repeat(200));
    assert_eq!(
        parse(endless.as_bytes()),
        Err(BadPreamble("a version 1 line of over 107 bytes"))
    );
}

#[test]
fn version_2() {
    let with_tlv = [&tcp4_body()[..], &[0x02, 0x00, 0x01, b'x']].concat();
    let cases = [
        (header_v2(0x21, 0x11, &tcp4_body()), complete("192.0.2.7:8080", 28)),
        (header_v2(0x21, 0x21, &tcp6_body()), complete("[2001:db8::9]:8080", 52)),
        (header_v2(0x21, 0x11, &with_tlv), complete("192.0.2.7:8080", 32)),
        (header_v2(0x20, 0x00, &[]), complete("", 16)),
        (header_v2(0x21, 0x31, &[0; 216]), complete("", 232)),
        (
            header_v2(0x21, 0x11, &[1, 2, 3]),
            Err(BadPreamble("a version 2 header too short for its addresses")),
        ),
        (
            header_v2(0x21, 0x51, &[]),
            Err(BadPreamble("an unknown address family")),
        ),
        (
            header_v2(0x11, 0x11, &tcp4_body()),
            Err(BadPreamble("an unknown version or command")),
        ),
        (
            header_v2(0x21, 0x11, &[0; 5000]),
            Err(BadPreamble("a version 2 header of over 4 KiB")),
        ),
        (b"\r\n\r\nGET /".to_vec(), Err(BadPreamble("neither version 1 nor 2"))),
    ];
    for (bytes, expected) in cases {
        assert_eq!(parse(&bytes), expected, "{bytes:?}");
    }
}

#[test]
fn forwarded_for() {
    let range = |address: &str, prefix| Cidr {
        address: address.parse().expect("an address"),
        prefix,
    };
    let trusted = [range("10.0.0.0", 8), range("2001:db8::", 32)];
    let cases: [(&str, Option<&str>, &str); 11] = [
        ("192.0.2.1", Some("203.0.113.9"), "192.0.2.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", Some("203.0.113.9"), "203.0.113.9"),
        ("10.0.0.1", Some("1.1.1.1, 203.0.113.9"), "203.0.113.9"),
        ("10.0.0.1", Some("203.0.113.9, 10.2.3.4"), "203.0.113.9"),
        ("10.0.0.1", Some("10.9.9.9,10.2.3.4"), "10.9.9.9"),
        ("10.0.0.1", Some("203.0.113.9:4711"), "203.0.113.9"),
        ("10.0.0.1", Some("[2600::1]:4711"), "2600::1"),
        ("2001:db8::1", Some("[2600::1]"), "2600::1"),
        ("10.0.0.1", Some("203.0.113.9, unknown"), "10.0.0.1"),
        ("::ffff:10.0.0.1", Some("203.0.113.9"), "203.0.113.9"),
    ];
    for (peer, forwarded, expected) in cases {
        let address = client_address(
            peer.parse().expect("an address"),
            forwarded.map(str::as_bytes),
            &trusted,
        );
        assert_eq!(
            address,
            expected.parse::<IpAddr>().expect("an address"),
            "{peer} {forwarded:?}"
        );
    }
}

proptest! {
    #[test]
    fn any_prefix_is_incomplete_or_decides_the_same(
        which in 0usize..4,
        cut in 0usize..300,
        tail in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let header = match which {
            0 => b"PROXY TCP4 192.0.2.7 10.0.0.1 8080 80\r\n".to_vec(),
            1 => b"PROXY UNKNOWN\r\n".to_vec(),
            2 => header_v2(0x21, 0x11, &tcp4_body()),
            _ => header_v2(0x21, 0x21, &tcp6_body()),
        };
        let len = header.len();
        let bytes = [header, tail].concat();
        let whole = parse(&bytes).expect("a good header");
        let cut = cut.min(bytes.len());
        let expected = if cut < len { Preamble::Incomplete } else { whole };
        prop_assert_eq!(parse(&bytes[..cut]), Ok(expected));
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), v2 in any::<bool>()) {
        let bytes = if v2 { [V2_SIGNATURE.to_vec(), bytes].concat() } else { bytes };
        if let Ok(Preamble::Complete { len, .. }) = parse(&bytes) {
            prop_assert!(len <= bytes.len());
        }
    }
}
