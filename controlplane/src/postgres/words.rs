//! SQL as SQLite takes it, in PostgreSQL's words: most statements are one text for both.

/// `?1` is `$1`, `IFNULL` is `COALESCE`, `user` is a word of the language there, and partitions want their column named.
pub fn translated(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 64);
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' | '"' => quoted(rest, first),
            'a'..='z' | 'A'..='Z' | '_' => {
                let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            }
            _ => first.len_utf8(),
        };
        let (word, behind) = rest.split_at(length);
        match word {
            "?" => out.push('$'),
            "IFNULL" => out.push_str("COALESCE"),
            "user" => out.push_str("\"user\""),
            _ => out.push_str(word),
        }
        rest = behind;
    }
    for joined in ["a.call = c.id", "c.id = a.call"] {
        out = out.replace(joined, "a.call = c.id AND a.ended_ms = c.ended_ms");
    }
    out
}

/// Up to the quote's end; two quotes within are one, and read as two texts.
fn quoted(text: &str, quote: char) -> usize {
    match text.get(1..).and_then(|rest| rest.find(quote)) {
        Some(at) => at + 2,
        None => text.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::translated;

    #[test]
    fn words_are_exchanged_and_texts_are_not() {
        for (sqlite, postgres) in [
            (
                "SELECT user FROM t WHERE a = ?1 AND b = ?12",
                "SELECT \"user\" FROM t WHERE a = $1 AND b = $12",
            ),
            ("IFNULL(c.user, 'user?')", "COALESCE(c.\"user\", 'user?')"),
            (
                "\"user\" users user_id 'it''s user'",
                "\"user\" users user_id 'it''s user'",
            ),
            (
                "FROM attempts a JOIN calls c ON c.id = a.call WHERE a.moved = 1",
                "FROM attempts a JOIN calls c ON a.call = c.id AND a.ended_ms = c.ended_ms WHERE a.moved = 1",
            ),
            ("'open", "'open"),
        ] {
            assert_eq!(translated(sqlite), postgres);
        }
    }
}
