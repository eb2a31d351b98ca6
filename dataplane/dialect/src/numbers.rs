//! The numbers in a small JSON object that the cursor has found, and so has proved to be JSON: one straight walk,
//! for usage is read on every call.

/// Calls `on_number(outer, key, value)` for each member of `object` that is an unsigned integer (`outer` empty), and for
/// each such member of a member that is an object (`outer` its key). Keys with escapes are given as they stand. What
/// lies deeper is passed over. Never fails: on bytes that are no JSON it stops early or reports less.
pub(crate) fn each<'a>(object: &'a [u8], mut on_number: impl FnMut(&'a [u8], &'a [u8], u64)) {
    let mut outer: &[u8] = b"";
    let mut at = 0;
    // Each turn begins behind a bracket or a value, and takes one member or one closing bracket.
    while let Some(byte) = token(object, &mut at) {
        at += 1;
        match byte {
            b'"' => {
                let end = string_end(object, at);
                let key = object.get(at..end).unwrap_or_default();
                at = end + 1;
                let Some(b':') = token(object, &mut at) else { return };
                at += 1;
                match token(object, &mut at) {
                    Some(b'0'..=b'9') => {
                        let (value, end) = number(object, at);
                        at = end;
                        if let Some(value) = value {
                            on_number(outer, key, value);
                        }
                    }
                    Some(b'{') if outer.is_empty() => {
                        outer = key;
                        at += 1;
                    }
                    _ => at = value_end(object, at),
                }
            }
            b'}' => outer = b"",
            _ => {}
        }
    }
}

/// The byte at `at` once white space is skipped.
#[inline(always)]
fn token(bytes: &[u8], at: &mut usize) -> Option<u8> {
    loop {
        match bytes.get(*at)? {
            b' ' | b'\n' | b'\r' | b'\t' => *at += 1,
            &byte => return Some(byte),
        }
    }
}

/// Behind the value at `at`, whatever it is.
pub(crate) fn value_end(bytes: &[u8], mut at: usize) -> usize {
    match bytes.get(at) {
        Some(b'"') => string_end(bytes, at + 1) + 1,
        Some(b'{' | b'[') => container_end(bytes, at),
        _ => {
            while bytes.get(at).is_some_and(|byte| !matches!(byte, b',' | b'}' | b']')) {
                at += 1;
            }
            at
        }
    }
}

/// The position of the quote that ends a string, or of the object's end.
#[inline(always)]
pub(crate) fn string_end(bytes: &[u8], at: usize) -> usize {
    string_end_and_escapes(bytes, at).0
}

/// The same, and whether there are escapes before it.
#[inline(always)]
pub(crate) fn string_end_and_escapes(bytes: &[u8], mut at: usize) -> (usize, bool) {
    let mut escapes = false;
    loop {
        at = quote_or_backslash(bytes, at);
        match bytes.get(at) {
            Some(b'\\') => (at, escapes) = (at + 2, true),
            Some(_) => return (at, escapes),
            None => return (bytes.len(), escapes),
        }
    }
}

/// The first quote or backslash from `at` on. Most strings are keys and words, too short to call a searcher for.
#[inline(always)]
fn quote_or_backslash(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const WORDS: usize = 3;
    // The lowest high bit set marks the first zero byte (those above it may be false).
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7);
    for _ in 0..WORDS {
        let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) else {
            break;
        };
        let word = u64::from_le_bytes(*word);
        let found = zero(word ^ (ONES * b'"' as u64)) | zero(word ^ (ONES * b'\\' as u64));
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    far_quote_or_backslash(bytes, at)
}

#[inline(never)]
fn far_quote_or_backslash(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    memchr::memchr2(b'"', b'\\', rest).map_or(bytes.len().max(at), |found| at + found)
}

/// Behind the bracket that closes the one at `at`.
fn container_end(bytes: &[u8], mut at: usize) -> usize {
    let mut open = 0usize;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => at = behind_strings(bytes, at),
            b'{' | b'[' => open += 1,
            b'}' | b']' => {
                open = open.saturating_sub(1);
                if open == 0 {
                    return at;
                }
            }
            _ => {}
        }
    }
    at
}

/// Behind the string whose text begins at `at`, and behind those that follow it with nothing but a comma or a colon
/// between: in the JSON of providers most do.
#[inline(always)]
fn behind_strings(bytes: &[u8], mut at: usize) -> usize {
    loop {
        at = string_end(bytes, at) + 1;
        match bytes.get(at..).and_then(|rest| rest.first_chunk::<2>()) {
            Some(b":\"" | b",\"") => at += 2,
            _ => return at,
        }
    }
}

/// The number at `at`, where it is an unsigned integer that fits, and where it ends.
fn number(bytes: &[u8], mut at: usize) -> (Option<u64>, usize) {
    let mut value = Some(0u64);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'0'..=b'9' => value = value.and_then(|v| v.checked_mul(10)?.checked_add(u64::from(byte - b'0'))),
            b'.' | b'e' | b'E' | b'+' | b'-' => value = None,
            _ => break,
        }
        at += 1;
    }
    (value, at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    fn read(object: &str) -> Vec<String> {
        let mut found = Vec::new();
        super::each(object.as_bytes(), |outer, key, value| {
            found.push(format!(
                "{}.{}={value}",
                String::from_utf8_lossy(outer),
                String::from_utf8_lossy(key)
            ));
        });
        found
    }

    #[test]
    fn integers_of_two_levels_are_found_and_nothing_else() {
        let object = r#"{ "a" : 1, "b":-2, "c":1.5, "d":"7", "e":null,
            "f":{"g":3,"h":{"i":4},"j":[5,{"k":6}],"l":8}, "m":[9], "n\"":10, "o":18446744073709551616, "p":{} , "q":2e3,"r":11}"#;
        assert_eq!(read(object), [".a=1", "f.g=3", "f.l=8", r#".n\"=10"#, ".r=11"]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            super::each(&bytes, |_, _, _| {});
        }

        #[test]
        fn no_near_json_makes_it_panic(text in r#"[\[\]{}":,\\0-9.eE+a-c-]{0,80}"#) {
            super::each(text.as_bytes(), |_, _, _| {});
        }
    }
}
