//! Any two prompts are judged, alike whichever came first, and a prompt may be served for itself. A zero byte parts them.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tollgate_vector::Verifier;

static VERIFIER: LazyLock<Verifier> = LazyLock::new(Verifier::default);

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    let (before, now) = text.split_once('\0').unwrap_or((&text, ""));
    // Half of the short words are known: slips are looked for in the others.
    let is_known = |word: &str| word.len() % 2 == 0;
    let verdict = VERIFIER.verify(before, now, is_known);
    assert_eq!(verdict.is_ok(), VERIFIER.verify(now, before, is_known).is_ok());
    assert_eq!(VERIFIER.verify(before, before, is_known), Ok(()));
});
