//! An answer that a dialect's reader takes is written whole in any dialect without a panic, as JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use tollgate_dialect::{ALL, canonical::answer::Answer, speak::CallFacts};

fuzz_target!(|input: &[u8]| {
    let Some((&[provider, client], body)) = input.split_first_chunk::<2>() else {
        return;
    };
    let provider = ALL[usize::from(provider) % ALL.len()].1;
    let client = ALL[usize::from(client) % ALL.len()].1;
    let facts = CallFacts {
        request_id: "1".into(),
        model: "m".into(),
        now_unix_s: 1,
        stream_usage: true,
        as_array: false,
    };
    let mut out = Vec::new();
    let fault = provider.read_fault(429, body);
    client.write_fault(&fault, &facts, &mut out);
    assert!(
        serde_json::from_slice::<IgnoredAny>(&out).is_ok(),
        "{}",
        out.escape_ascii()
    );
    let mut answer = Answer::default();
    if provider.read_answer(body, &mut |event| answer.take(event)).is_ok() && answer.fault.is_none() {
        out.clear();
        client.write_answer(&answer, &facts, &mut out);
        assert!(
            serde_json::from_slice::<IgnoredAny>(&out).is_ok(),
            "{}",
            out.escape_ascii()
        );
    }
});
