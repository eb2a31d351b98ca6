//! A request head that is accepted has one way to end its body, and is the same read again from what we write of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_wire::head::{Framing, Known, RequestHead};
use tollgate_wire::http1::read::{self, Limits, Progress};
use tollgate_wire::http1::write;

fuzz_target!(|input: &[u8]| {
    let limits = Limits {
        max_head_bytes: 1024,
        max_headers: 64,
    };
    let mut head = RequestHead::default();
    let outcome = read::request(input, &limits, &mut head);
    if let Err(bad) = &outcome {
        assert!(matches!(bad.status, 400 | 417 | 431 | 501 | 505));
    }
    if outcome != Ok(Progress::Complete) {
        return;
    }
    assert!(head.len <= input.len() && head.len <= limits.max_head_bytes);
    for shorter in 0..head.len {
        let mut part = RequestHead::default();
        assert_eq!(
            read::request(&input[..shorter], &limits, &mut part),
            Ok(Progress::Incomplete)
        );
    }
    let text = &input[..head.len];
    let bare_lf = |at: usize| text[at] == b'\n' && (at == 0 || text[at - 1] != b'\r');
    let bare_cr = |at: usize| text[at] == b'\r' && text.get(at + 1) != Some(&b'\n');
    assert!(!(0..text.len()).any(|at| bare_lf(at) || bare_cr(at) || text[at] == 0));
    let count = |known| head.fields.lines.iter().filter(|field| field.known == known).count();
    assert!(count(Known::ContentLength) + count(Known::TransferEncoding) <= 1);
    assert!(count(Known::Host) <= 1 && (head.http_1_0 || count(Known::Host) == 1));

    let mut written = Vec::new();
    write::request_line(&mut written, head.method_token.of(input), head.path.of(input));
    write::forward(&mut written, input, &head.fields.lines, |_| true);
    if head.framing == Framing::Chunked {
        write::header(&mut written, b"transfer-encoding", b"chunked");
    }
    if count(Known::Host) == 0 {
        write::header(&mut written, b"host", b"a");
    }
    written.extend_from_slice(b"\r\n");
    let mut again = RequestHead::default();
    let wide = Limits {
        max_head_bytes: 4096,
        max_headers: 66,
    };
    assert_eq!(read::request(&written, &wide, &mut again), Ok(Progress::Complete));
    assert_eq!((again.framing, again.len), (head.framing, written.len()));
});
