//! Where a text is code: fenced blocks, as CommonMark has them, and what may be one. Everything else is prose. Knows no
//! language.

use std::ops::Range;

/// A stretch of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Prose(Range<usize>),
    /// `inside` is what stands between the fences' lines; `info` is what is said behind the opening one.
    Code {
        whole: Range<usize>,
        inside: Range<usize>,
        info: Range<usize>,
    },
}

/// The longest opening that a line may have: a run of one character.
const LEAST_FENCE: usize = 3;
const MOST_INDENT: usize = 3;

/// Its parts, in order and without gaps. From a fence within a list, a quotation or an indentation on, of which the lines
/// alone do not say where it ends, all is code.
pub(super) fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let (mut prose, mut open): (usize, Option<(usize, usize, Fence)>) = (0, None);
    for line in lines(text) {
        let content = text.get(line.clone()).unwrap_or_default();
        match &open {
            None => {
                if let Some(fence) = Fence::opened_by(content) {
                    if prose < line.start {
                        parts.push(Part::Prose(prose..line.start));
                    }
                    open = Some((line.start, line.end, fence));
                } else if Fence::is_within(content) {
                    if prose < line.start {
                        parts.push(Part::Prose(prose..line.start));
                    }
                    parts.push(Part::Code {
                        whole: line.start..text.len(),
                        inside: line.start..text.len(),
                        info: line.start..line.start,
                    });
                    return parts;
                }
            }
            Some((start, inside, fence)) if fence.is_closed_by(content) => {
                parts.push(code(text, *start..line.end, *inside..line.start));
                (prose, open) = (line.end, None);
            }
            Some(_) => {}
        }
    }
    match open {
        Some((start, inside, _)) => parts.push(code(text, start..text.len(), inside..text.len())),
        None if prose < text.len() => parts.push(Part::Prose(prose..text.len())),
        None => {}
    }
    parts
}

fn code(text: &str, whole: Range<usize>, inside: Range<usize>) -> Part {
    let opening = text.get(whole.start..inside.start).unwrap_or_default();
    let info = opening.trim_start().trim_start_matches(['`', '~']);
    let start = inside.start - info.len();
    let info = start..start + info.trim_end().len();
    Part::Code { whole, inside, info }
}

/// Lines with their ends.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    text.split_inclusive('\n').map(move |line| {
        let start = at;
        at += line.len();
        start..at
    })
}

#[derive(Debug)]
struct Fence {
    mark: char,
    length: usize,
}

impl Fence {
    fn run(line: &str) -> Option<(Fence, &str)> {
        let body = line.trim_start_matches(' ');
        if line.len() - body.len() > MOST_INDENT {
            return None;
        }
        let mark = body.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
        let rest = body.trim_start_matches(mark);
        let length = body.len() - rest.len();
        (length >= LEAST_FENCE).then_some((Fence { mark, length }, rest))
    }

    fn opened_by(line: &str) -> Option<Fence> {
        let (fence, rest) = Self::run(line)?;
        // Three backticks around a word are code in a line.
        (fence.mark != '`' || !rest.contains('`')).then_some(fence)
    }

    /// Behind the marks of items and quotations, or further in than a fence of its own is.
    fn is_within(line: &str) -> bool {
        let marks = |mark: char| mark.is_ascii_digit() || " \t>-*+.)".contains(mark);
        Self::opened_by(line.trim_start_matches(marks)).is_some()
    }

    fn is_closed_by(&self, line: &str) -> bool {
        Self::run(line).is_some_and(|(fence, rest)| {
            fence.mark == self.mark && fence.length >= self.length && rest.trim().is_empty()
        })
    }
}

/// Would this line end a block of code, or begin one?
pub(super) fn is_fence(line: &str) -> bool {
    Fence::run(line).is_some()
}
