//! The padding of tables: of cells between bars (Markdown), and beside commas. What a cell says stays as it is.

/// A block of lines that are parted by commas is a table from so many lines, and so many commas a line, on.
const LEAST_ROWS: usize = 3;
const LEAST_COMMAS: usize = 2;
/// Runs of blanks beside a comma, that nobody writes in a sentence.
const PADDING: [&str; 2] = [",  ", "  ,"];

/// Appends a row without its padding.
type Pack = fn(&str, &mut String);

/// Appends the prose, its tables without their padding. No line is counted twice.
pub(super) fn pack(prose: &str, out: &mut String) {
    let lines: Vec<&str> = prose.split_inclusive('\n').collect();
    let (mut at, mut bars_end) = (0, 0);
    while let Some(rest) = lines.get(at..).filter(|rest| !rest.is_empty()) {
        if bars_end <= at {
            bars_end = at + rest.iter().take_while(|line| is_row(line)).count();
        }
        let bars = bars_end - at;
        let (rows, pack): (usize, Option<Pack>) = match rest.get(1) {
            Some(ruler) if bars > 1 && is_ruler(ruler) => (bars, Some(by_bars)),
            // Its ruler may stand further down.
            _ if bars > 0 => (1, None),
            _ => of_commas(rest),
        };
        for line in rest.iter().take(rows) {
            match pack {
                Some(pack) => pack(line, out),
                None => out.push_str(line),
            }
        }
        at += rows;
    }
}

fn body(line: &str) -> &str {
    line.trim_end_matches(['\n', '\r'])
}

fn is_row(line: &str) -> bool {
    let line = line.trim();
    line.len() > 1 && line.starts_with('|') && line.ends_with('|') && !line.ends_with("\\|") && !line.contains('`')
}

/// The line below a table's head.
fn is_ruler(line: &str) -> bool {
    let line = line.trim();
    line.contains('-') && line.chars().all(|mark| matches!(mark, '|' | '-' | ':' | ' ' | '\t'))
}

/// Cells are parted by bars that no backslash stands before.
fn by_bars(line: &str, out: &mut String) {
    let (inner, is_ruler) = (body(line), is_ruler(line));
    let indent = inner.len() - inner.trim_start().len();
    out.push_str(inner.get(..indent).unwrap_or_default());
    let mut cell = 0;
    let mut escaped = false;
    let inner = inner.trim();
    for (at, mark) in inner.char_indices() {
        if mark == '|' && !escaped {
            push_cell(inner.get(cell..at).unwrap_or_default(), is_ruler, out);
            out.push('|');
            cell = at + 1;
        }
        escaped = mark == '\\' && !escaped;
    }
    out.push_str(line.get(body(line).len()..).unwrap_or_default());
}

fn push_cell(cell: &str, is_ruler: bool, out: &mut String) {
    let cell = cell.trim();
    if !is_ruler || !cell.contains('-') {
        return out.push_str(cell);
    }
    let ends = (cell.starts_with(':'), cell.len() > 1 && cell.ends_with(':'));
    out.push_str(match ends {
        (true, true) => ":-:",
        (true, false) => ":-",
        (false, true) => "-:",
        (false, false) => "-",
    });
}

/// How many of these lines, one at least, belong together, and how they are packed where they are a table whose cells are
/// padded; none of such a table has quotes, whose commas part nothing.
fn of_commas(lines: &[&str]) -> (usize, Option<Pack>) {
    let commas = |line: &str| line.bytes().filter(|byte| *byte == b',').count();
    let Some(first) = lines
        .first()
        .map(|line| commas(line))
        .filter(|first| *first >= LEAST_COMMAS)
    else {
        return (1, None);
    };
    let is_of_it = |line: &&&str| commas(line) == first && !line.contains(['"', '\'', '`', '|']);
    let rows = lines.iter().take_while(is_of_it).count();
    let table = lines.get(..rows).unwrap_or_default();
    let is_padded = |line: &&str| PADDING.iter().any(|padding| line.contains(padding));
    match rows >= LEAST_ROWS && table.iter().any(is_padded) {
        true => (rows, Some(by_commas)),
        false => (rows.max(1), None),
    }
}

fn by_commas(line: &str, out: &mut String) {
    let inner = body(line);
    let mut cells = inner.split(',').enumerate().peekable();
    while let Some((index, cell)) = cells.next() {
        let cell = if index == 0 {
            cell
        } else {
            cell.trim_start_matches([' ', '\t'])
        };
        let is_last = cells.peek().is_none();
        out.push_str(if is_last {
            cell
        } else {
            cell.trim_end_matches([' ', '\t'])
        });
        if !is_last {
            out.push(',');
        }
    }
    out.push_str(line.get(inner.len()..).unwrap_or_default());
}
