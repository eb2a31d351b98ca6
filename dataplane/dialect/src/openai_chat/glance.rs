//! Most answers, known at a glance: one walk that proves them, where to read them takes several. Whoever is not sure reads.

use tollgate_wire::json::{cursor::BadJson, pull::Pull};

/// Answers with more choices are read.
const MOST_CHOICES: usize = 8;

/// See `Speaks::is_plain`.
pub(super) fn is_plain(body: &[u8]) -> bool {
    answer(body).unwrap_or(false)
}

fn answer(body: &[u8]) -> Result<bool, BadJson> {
    let mut pull = Pull::new(body)?;
    let (mut plain, mut lists, mut choices) = (true, 0, 0);
    pull.object(|pull, key, escapes| {
        plain &= !escapes;
        match key {
            b"choices" => {
                lists += 1;
                pull.array(|pull| {
                    choices += 1;
                    plain &= choice(pull)?;
                    Ok(())
                })?;
            }
            b"error" => plain &= pull.value()? == b"null",
            b"object" => plain &= pull.value()? == br#""chat.completion""#,
            _ => _ = pull.value()?,
        }
        Ok(())
    })?;
    pull.end()?;
    Ok(plain && lists == 1 && (1..=MOST_CHOICES).contains(&choices))
}

fn choice(pull: &mut Pull<'_>) -> Result<bool, BadJson> {
    let (mut plain, mut messages, mut stops) = (true, 0, 0);
    pull.object(|pull, key, escapes| {
        plain &= !escapes;
        match key {
            b"index" => plain &= matches!(pull.value()?, [b'0'..=b'9']),
            b"message" => {
                messages += 1;
                plain &= message(pull)?;
            }
            b"finish_reason" => {
                stops += 1;
                plain &= pull.value()? == br#""stop""#;
            }
            b"error" | b"delta" => plain &= pull.value()? == b"null",
            _ => _ = pull.value()?,
        }
        Ok(())
    })?;
    Ok(plain && messages <= 1 && stops == 1)
}

fn message(pull: &mut Pull<'_>) -> Result<bool, BadJson> {
    let mut plain = true;
    pull.object(|pull, key, escapes| {
        let value = pull.value()?;
        let says_more = match key {
            b"refusal" | b"function_call" => value != b"null",
            b"tool_calls" => !matches!(value, b"null" | b"[]"),
            _ => false,
        };
        plain &= !escapes && !says_more;
        Ok(())
    })?;
    Ok(plain)
}
