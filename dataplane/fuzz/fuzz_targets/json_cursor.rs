//! The cursor takes for JSON what another reader does, and finds what is there.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use tollgate_wire::json::{cursor, edit};

const PATHS: [&str; 5] = ["model", "a.b", "a", "u.v.w", "stream"];

fuzz_target!(|input: &[u8]| {
    // Another reader's view of the syntax alone: it looks at neither UTF-8 nor depth nor the range of numbers.
    let is_json = serde_json::from_slice::<IgnoredAny>(input).is_ok() && std::str::from_utf8(input).is_ok();
    let is_object = input.trim_ascii_start().first() == Some(&b'{');
    let found = match cursor::find(input, &PATHS) {
        Ok(found) => found,
        Err(bad) => {
            let ours = bad.reason.contains("twice") || bad.reason == "nested too deeply";
            assert!(ours || !is_json || !is_object, "{bad}");
            assert!(bad.offset <= input.len());
            return;
        }
    };
    assert!(is_json && is_object);
    for value in found.into_iter().flatten() {
        assert!(serde_json::from_slice::<IgnoredAny>(value.span.of(input)).is_ok());
        if let Some(text) = cursor::string(input, value) {
            let mut written = Vec::new();
            edit::write_string(&mut written, &text);
            assert_eq!(serde_json::from_slice::<String>(&written).ok().as_deref(), Some(&*text));
            assert_eq!(
                serde_json::from_slice::<String>(value.span.of(input)).ok().as_deref(),
                Some(&*text)
            );
        }
        cursor::unsigned(input, value);
        let gone = edit::member(input, value);
        let left = [&input[..gone.start as usize], &input[gone.end as usize..]].concat();
        assert!(cursor::find(&left, &PATHS).is_ok(), "{}", left.escape_ascii());
    }
});
