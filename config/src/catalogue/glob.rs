//! Patterns over model names: `*` stands for any characters, letters match in either case.

/// Linear but for the number of stars, which the catalogue bounds.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let mut parts = pattern.split(|byte| *byte == b'*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = strip_prefix(name, first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match find(rest, part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.len() >= last.len() && rest[rest.len() - last.len()..].eq_ignore_ascii_case(last)
}

fn strip_prefix<'n>(name: &'n [u8], prefix: &[u8]) -> Option<&'n [u8]> {
    let (begin, rest) = name.split_at_checked(prefix.len())?;
    begin.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn find(name: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() {
        return Some(0);
    }
    name.windows(part.len())
        .position(|window| window.eq_ignore_ascii_case(part))
}

#[cfg(test)]
mod tests {
    #[test]
    fn stars_stand_for_anything() {
        for (pattern, name, expected) in [
            ("gpt-4", "gpt-4", true),
            ("gpt-4", "gpt-4o", false),
            ("gpt-4", "GPT-4", true),
            ("gpt-4*", "gpt-4", true),
            ("gpt-4*", "gpt-4o", true),
            ("*claude-3*", "us.anthropic.claude-3-haiku", true),
            ("*claude-3*", "claude-sonnet-5", false),
            ("*gpt-5*-chat*", "gpt-5.1-chat-latest", true),
            ("*gpt-5*-chat*", "gpt-5-mini", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*bc*bc", "abc", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(super::matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
