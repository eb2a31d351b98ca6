//! A request that a dialect's reader takes is written in any dialect without a panic, as JSON; and in its own it is read
//! again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use tollgate_dialect::{
    ALL,
    canonical::feature::Drops,
    quirks::Quirks,
    speak::{PathFacts, TargetFacts},
};

fuzz_target!(|input: &[u8]| {
    let Some((&[client, target], body)) = input.split_first_chunk::<2>() else {
        return;
    };
    let path = PathFacts {
        model: Some("m"),
        stream: client & 64 != 0,
    };
    let client = ALL[usize::from(client & 63) % ALL.len()].1;
    let target = ALL[usize::from(target) % ALL.len()].1;
    let Ok(mut request) = client.read_request(body, path) else {
        return;
    };
    request.name_calls();
    let quirks = Quirks::default();
    let to = TargetFacts {
        model: "m",
        quirks: &quirks,
    };
    let mut out = Vec::new();
    if target
        .write_request(&request, &to, &mut Drops::default(), &mut out)
        .is_ok()
    {
        assert!(
            serde_json::from_slice::<IgnoredAny>(&out).is_ok(),
            "{}",
            out.escape_ascii()
        );
    }
});
