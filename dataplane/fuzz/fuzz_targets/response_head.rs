//! A response head that is accepted has one way to end its body, and no shorter part of it was accepted before.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_wire::head::{Framing, Known, Method, ResponseHead};
use tollgate_wire::http1::read::{self, Limits, Progress};

fuzz_target!(|input: &[u8]| {
    let limits = Limits {
        max_head_bytes: 1024,
        max_headers: 64,
    };
    let Some((first, input)) = input.split_first() else {
        return;
    };
    let method = if first % 2 == 0 { Method::Post } else { Method::Head };
    let mut head = ResponseHead::default();
    match read::response(input, method, &limits, &mut head) {
        Err(bad) => return assert_eq!(bad.status, 502),
        Ok(Progress::Incomplete) => return,
        Ok(Progress::Complete) => {}
    }
    assert!(head.len <= input.len() && (200..600).contains(&head.status));
    for shorter in 0..head.len {
        let mut part = ResponseHead::default();
        assert_eq!(
            read::response(&input[..shorter], method, &limits, &mut part),
            Ok(Progress::Incomplete)
        );
    }
    let count = |known| head.fields.lines.iter().filter(|field| field.known == known).count();
    assert!(count(Known::ContentLength) + count(Known::TransferEncoding) <= 1);
    assert!(method != Method::Head || head.framing == Framing::None);
    assert!(head.framing != Framing::UntilClose || !head.keep_alive);
});
