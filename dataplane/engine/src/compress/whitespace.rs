//! Runs of blanks and of empty lines in prose, and rulers drawn with one character. What stands between quotes or backticks on
//! a line stays as it is, and so does what a line is indented by.

/// A ruler that is longer …
const LONG_RULER: usize = 8;
/// … is drawn like this.
const RULER: usize = 3;

/// Appends the prose.
pub(super) fn squeeze(prose: &str, out: &mut String) {
    let mut blank_lines = 0;
    for line in prose.split_inclusive('\n') {
        let (body, end) = match line.strip_suffix('\n') {
            Some(body) => (body.trim_end_matches([' ', '\t', '\r']), "\n"),
            // The text goes on behind it, or ends: what ends it is kept.
            None => (line, ""),
        };
        if body.is_empty() && !end.is_empty() {
            blank_lines += 1;
            if blank_lines > 1 {
                continue;
            }
        } else {
            blank_lines = 0;
        }
        self::line(body, out);
        out.push_str(end);
    }
}

fn line(body: &str, out: &mut String) {
    if let Some(mark) = ruler(body.trim()) {
        let indent = body.len() - body.trim_start().len();
        out.push_str(body.get(..indent).unwrap_or_default());
        return (0..RULER).for_each(|_| out.push(mark));
    }
    let inner = body.trim_start_matches([' ', '\t']);
    out.push_str(body.get(..body.len() - inner.len()).unwrap_or_default());
    let mut rest = inner;
    while let Some(at) = rest.find(['`', '"', ' ']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let quoted = quoted(from);
        let taken = if quoted > 0 {
            out.push_str(from.get(..quoted).unwrap_or_default());
            quoted
        } else if from.starts_with(' ') {
            let blanks = from.len() - from.trim_start_matches(' ').len();
            // Beside a tab, which parts columns, a run of blanks may be an empty one's.
            let by_tab = before.ends_with('\t') || from.get(blanks..).is_some_and(|behind| behind.starts_with('\t'));
            let kept = if by_tab { blanks } else { 1 };
            out.push_str(from.get(..kept).unwrap_or_default());
            blanks
        } else {
            out.push_str(from.get(..1).unwrap_or_default());
            1
        };
        rest = from.get(taken..).unwrap_or_default();
    }
    out.push_str(rest);
}

/// The length of what is quoted at the beginning of `text`, quotes included; zero where nothing is.
fn quoted(text: &str) -> usize {
    let Some(quote) = text.chars().next().filter(|quote| matches!(quote, '`' | '"')) else {
        return 0;
    };
    text.get(1..)
        .and_then(|behind| behind.find(quote))
        .map_or(0, |at| at + 2)
}

fn ruler(line: &str) -> Option<char> {
    let mark = line
        .chars()
        .next()
        .filter(|mark| matches!(mark, '-' | '=' | '*' | '_' | '#'))?;
    (line.len() >= LONG_RULER && line.chars().all(|other| other == mark)).then_some(mark)
}
