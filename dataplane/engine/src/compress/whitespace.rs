//! Runs of blanks and of empty lines in prose, and rulers drawn with one character. What is quoted stays as it is, and so does
//! what a line is indented by, a line with a tab in it, and neighbouring lines whose runs may be columns.

/// A ruler that is longer …
const LONG_RULER: usize = 8;
/// … is drawn like this.
const RULER: usize = 3;

/// Appends the prose.
pub(super) fn squeeze(prose: &str, out: &mut String) {
    let mut blank_lines = 0;
    let mut quotes = Quotes::default();
    let (mut lines, mut had_run) = (prose.split_inclusive('\n').peekable(), false);
    while let Some(whole) = lines.next() {
        let (body, end) = parted(whole);
        let (has_run, has_next) = (
            has_run(body),
            lines.peek().is_some_and(|next| self::has_run(parted(next).0)),
        );
        let by_columns = has_run && (had_run || has_next);
        had_run = has_run;
        let is_quoted = quotes.go_on_in(body);
        if is_quoted || by_columns || body.contains('\t') {
            blank_lines = 0;
            out.push_str(whole);
            continue;
        }
        // Behind a text that ends without a line's end something may go on; a carriage return that loses the blanks behind it
        // would become a part of the line's end.
        let bare = body.trim_end_matches(' ');
        let body = match end.is_empty() || bare.ends_with('\r') {
            true => body,
            false => bare,
        };
        if body.is_empty() && !end.is_empty() {
            blank_lines += 1;
            if blank_lines > 1 {
                continue;
            }
        } else {
            blank_lines = 0;
        }
        line(body, out);
        out.push_str(end);
    }
}

/// A line, and what ends it.
fn parted(line: &str) -> (&str, &str) {
    let body = line.strip_suffix('\n').unwrap_or(line);
    let body = body
        .strip_suffix('\r')
        .filter(|_| body.len() < line.len())
        .unwrap_or(body);
    line.split_at(body.len())
}

/// A run of blanks inside it, that no sentence ends before.
fn has_run(body: &str) -> bool {
    let mut rest = body.trim_matches(' ');
    while let Some(at) = rest.find("  ") {
        let (before, behind) = rest.split_at(at);
        if !before.ends_with(['.', '!', '?', ':']) {
            return true;
        }
        rest = behind.trim_start_matches(' ');
    }
    false
}

/// Quotations that go on over lines.
#[derive(Default)]
struct Quotes {
    double: bool,
    backtick: bool,
}

impl Quotes {
    /// Is something of this line quoted in a way that the line alone does not tell, or by other marks than `"` and a backtick?
    fn go_on_in(&mut self, line: &str) -> bool {
        let was = self.double || self.backtick;
        for mark in line.bytes() {
            match mark {
                b'"' => self.double = !self.double,
                b'`' => self.backtick = !self.backtick,
                _ => {}
            }
        }
        was || self.double || self.backtick || has_other_quotes(line)
    }
}

/// An apostrophe stands between two letters.
fn has_other_quotes(line: &str) -> bool {
    let mut before = ' ';
    let mut marks = line.chars().peekable();
    while let Some(mark) = marks.next() {
        let is_inside = before.is_alphanumeric() && marks.peek().is_some_and(|next| next.is_alphanumeric());
        match mark {
            '“' | '”' | '„' | '‘' | '«' | '»' | '‹' | '›' => return true,
            '\'' | '’' if !is_inside => return true,
            _ => before = mark,
        }
    }
    false
}

fn line(body: &str, out: &mut String) {
    if let Some(mark) = ruler(body.trim()) {
        let indent = body.len() - body.trim_start().len();
        out.push_str(body.get(..indent).unwrap_or_default());
        return (0..RULER).for_each(|_| out.push(mark));
    }
    let inner = body.trim_start_matches(' ');
    out.push_str(body.get(..body.len() - inner.len()).unwrap_or_default());
    let mut rest = inner;
    while let Some(at) = rest.find(['`', '"', ' ']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let quoted = quoted(from);
        let taken = if quoted > 0 {
            out.push_str(from.get(..quoted).unwrap_or_default());
            quoted
        } else {
            out.push_str(from.get(..1).unwrap_or_default());
            match from.starts_with(' ') {
                true => from.len() - from.trim_start_matches(' ').len(),
                false => 1,
            }
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
