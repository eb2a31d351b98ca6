//! Passages of prose that stand word for word before, in the same text or in an earlier one of the same prompt: in their place
//! stands that they are repeated, and how they begin, where no other passage begins like that. Knows no prompt: texts are
//! given in order.

use hashbrown::{HashMap, HashSet};

use super::fences::{self, Part};

/// A shorter passage is not worth a reference.
const LEAST_BYTES: usize = 160;
/// So much of it is shown where it is repeated.
const SHOWN_CHARS: usize = 40;
/// As many passages as are remembered.
const MAX_PASSAGES: usize = 16 << 10;

const BEFORE: &str = "[Repeated from above: ";
const BEHIND: &str = " …]";

/// Passages that were seen.
#[derive(Debug, Default)]
pub(super) struct Passages {
    seen: HashSet<Box<str>>,
    /// How many of them begin like that.
    beginnings: HashMap<Box<str>, u32>,
}

impl Passages {
    /// The next text, without what it repeats; none where that is nothing.
    pub fn without_repeated(&mut self, text: &str) -> Option<String> {
        let mut out = String::new();
        for part in fences::parts(text) {
            match part {
                Part::Prose(at) => self.prose(text.get(at).unwrap_or_default(), &mut out),
                Part::Code { whole, .. } => out.push_str(text.get(whole).unwrap_or_default()),
            }
        }
        (out.len() < text.len()).then_some(out)
    }

    /// Paragraph by paragraph: between empty lines.
    fn prose(&mut self, prose: &str, out: &mut String) {
        let mut paragraph = 0;
        let mut end = 0;
        for line in fences::lines(prose) {
            let is_blank = prose.get(line.clone()).unwrap_or_default().trim().is_empty();
            if is_blank {
                self.paragraph(prose.get(paragraph..end).unwrap_or_default(), out);
                out.push_str(prose.get(line.clone()).unwrap_or_default());
                paragraph = line.end;
            }
            end = line.end;
        }
        self.paragraph(prose.get(paragraph..).unwrap_or_default(), out);
    }

    fn paragraph(&mut self, paragraph: &str, out: &mut String) {
        let said = paragraph.trim();
        if said.len() < LEAST_BYTES {
            return out.push_str(paragraph);
        }
        let shown = shown(said);
        if !self.seen.contains(said) {
            if self.seen.len() < MAX_PASSAGES {
                self.seen.insert(said.into());
                *self.beginnings.entry(shown.into()).or_default() += 1;
            }
            return out.push_str(paragraph);
        }
        let is_the_only_one = self.beginnings.get(&*shown) == Some(&1) && self.seen.len() < MAX_PASSAGES;
        if !is_the_only_one || BEFORE.len() + shown.len() + BEHIND.len() >= said.len() {
            return out.push_str(paragraph);
        }
        let start = paragraph.len() - paragraph.trim_start().len();
        out.push_str(paragraph.get(..start).unwrap_or_default());
        [BEFORE, &shown, BEHIND].iter().for_each(|part| out.push_str(part));
        out.push_str(paragraph.get(start + said.len()..).unwrap_or_default());
    }
}

/// How a passage begins.
fn shown(said: &str) -> String {
    let marks = said.chars().take(SHOWN_CHARS);
    let shown: String = marks.map(|mark| if mark == '\n' { ' ' } else { mark }).collect();
    shown.trim_end().to_owned()
}
