//! A file of request bodies, one JSON document a line, mapped into memory. Checked once, whole, when the mix is read.

use std::path::Path;

use tollgate_wire::json::cursor::{self, Kind};

use super::template::{self, Draw, Piece};
use crate::{mapped::Mapped, mix::dice::Dice};

/// A line over this is no request that anybody would take.
const LINE_MOST_BYTES: usize = 64 * 1024 * 1024;

pub struct Corpus {
    file: Mapped,
    lines: Vec<Line>,
    /// Of the lines that have placeholders.
    templates: Vec<Vec<Piece>>,
}

struct Line {
    start: usize,
    len: u32,
    template: Option<u32>,
    stream: bool,
}

/// One body.
pub enum Body<'a> {
    Bytes(&'a [u8]),
    Template(&'a [Piece]),
}

impl Corpus {
    /// `own` knows the placeholders of the class, beside those that stand everywhere.
    pub fn open(path: &Path, own: &dyn Fn(&str) -> Option<Vec<Piece>>) -> Result<Self, String> {
        let name = path.display();
        let size =
            std::fs::metadata(path).map_err(|bad| format!("{name}: {bad}; a path is relative to the mix's folder"))?;
        let empty = || format!("{name}: the file has no body; write one whole request body, as JSON, on each line");
        if size.len() == 0 {
            return Err(empty());
        }
        let file = Mapped::open(path).map_err(|bad| format!("{name}: {bad}"))?;
        let (mut lines, mut templates) = (Vec::new(), Vec::new());
        let mut start = 0;
        for (number, end) in (1..).zip(memchr::memchr_iter(b'\n', &file).chain([file.len()])) {
            let body = file[start..end].trim_ascii_start();
            let at = end - body.len();
            let body = body.trim_ascii_end();
            if !body.is_empty() {
                let line = read_line(body, at, own, &mut templates).map_err(|why| format!("{name}:{number}: {why}"))?;
                lines.push(line);
            }
            start = end + 1;
        }
        match lines.is_empty() {
            true => Err(empty()),
            false => Ok(Self { file, lines, templates }),
        }
    }

    /// Draws a body, and says whether it asks for a stream.
    pub fn draw(&self, dice: &mut Dice) -> (Body<'_>, bool) {
        let line = &self.lines[dice.below(self.lines.len() as u64) as usize];
        let body = match line.template {
            Some(at) => Body::Template(&self.templates[at as usize]),
            None => Body::Bytes(&self.file[line.start..][..line.len as usize]),
        };
        (body, line.stream)
    }

    /// Share of the lines that ask for a stream.
    pub fn stream_share(&self) -> f64 {
        self.lines.iter().filter(|line| line.stream).count() as f64 / self.lines.len() as f64
    }
}

fn read_line(
    body: &[u8],
    start: usize,
    own: &dyn Fn(&str) -> Option<Vec<Piece>>,
    templates: &mut Vec<Vec<Piece>>,
) -> Result<Line, String> {
    if body.len() > LINE_MOST_BYTES {
        return Err(format!("a body of {} bytes; at most {LINE_MOST_BYTES}", body.len()));
    }
    let mut line = Line {
        start,
        len: body.len() as u32,
        template: None,
        stream: false,
    };
    if memchr::memmem::find(body, b"${").is_none() {
        line.stream = check(body)?;
        return Ok(line);
    }
    let pieces = template::parse(body, own)?;
    let mut filled = Vec::new();
    let mut draw = Draw {
        dice: Dice::new(0),
        counter: 0,
        turn_id: 0,
        key: b"",
        length: 0,
    };
    template::fill(&pieces, &mut draw, &mut filled);
    line.stream = check(&filled)?;
    line.template = Some(templates.len() as u32);
    templates.push(pieces);
    Ok(line)
}

/// Whether the body is JSON, and if so whether it asks for a stream.
fn check(body: &[u8]) -> Result<bool, String> {
    let found = cursor::find(body, &["stream"])
        .map_err(|bad| format!("not JSON: {bad}; each line must be one whole request body"))?;
    Ok(found[0].is_some_and(|value| value.kind == Kind::True))
}

impl std::fmt::Debug for Corpus {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        out.debug_struct("Corpus")
            .field("lines", &self.lines.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn open(text: &str) -> Result<Corpus, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bodies.jsonl");
        std::fs::write(&path, text).unwrap();
        Corpus::open(&path, &|_| None)
    }

    #[test]
    fn every_line_is_drawn_and_says_whether_it_streams() {
        // Spaces around, an empty line, the ends of lines of other systems, none at the end.
        let corpus = open("{\"n\":1}\n\n  {\"n\":2,\"stream\":true}\r\n{\"n\":3,\"stream\":false}").unwrap();
        let mut dice = Dice::new(1);
        let drawn: BTreeSet<(String, bool)> = (0..200)
            .map(|_| match corpus.draw(&mut dice) {
                (Body::Bytes(bytes), stream) => (String::from_utf8(bytes.to_vec()).unwrap(), stream),
                (Body::Template(pieces), _) => panic!("{pieces:?}"),
            })
            .collect();
        let right = [
            ("{\"n\":1}".to_owned(), false),
            ("{\"n\":2,\"stream\":true}".to_owned(), true),
            ("{\"n\":3,\"stream\":false}".to_owned(), false),
        ];
        assert_eq!(drawn, BTreeSet::from(right));
        assert!((corpus.stream_share() - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn placeholders_of_a_line_are_found() {
        let corpus = open("{\"n\":${random:1-9},\"stream\":true}").unwrap();
        assert!(matches!(corpus.draw(&mut Dice::new(0)), (Body::Template(_), true)));
    }

    #[test]
    fn faults_name_file_line_and_remedy() {
        let cases = [
            ("", "bodies.jsonl: the file has no body; write one"),
            ("\n \n", "bodies.jsonl: the file has no body; write one"),
            ("{}\n{\"a\":}\n", "bodies.jsonl:2: not JSON"),
            ("{}\n{}\n{", "bodies.jsonl:3: not JSON"),
            (
                "{\"a\":\"${nonsense}\"}",
                "bodies.jsonl:1: ${nonsense} is no placeholder",
            ),
            ("{\"a\":${random}}", "bodies.jsonl:1: not JSON"),
        ];
        for (text, right) in cases {
            let said = open(text).unwrap_err();
            assert!(said.contains(right), "{text:?}: {said}");
        }
        let said = Corpus::open(Path::new("/nowhere/x.jsonl"), &|_| None).unwrap_err();
        assert!(
            said.starts_with("/nowhere/x.jsonl: ") && said.contains("relative to the mix"),
            "{said}"
        );
    }
}
