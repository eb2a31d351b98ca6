//! The shell of a page that needs nothing but itself: style, headings, figures, tables. Escapes all it is given; knows
//! nothing of what it shows.

use std::{
    borrow::Cow,
    fmt::Write as _,
    io::{self, Write},
};

use super::plot::Plot;

const STYLE: &str = include_str!("style.css");

pub struct Page {
    title: String,
    body: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Good,
    Warning,
    Bad,
}

/// A figure that is seen before all else.
pub struct Tile {
    pub label: String,
    pub value: String,
    pub unit: String,
    pub note: String,
    pub tone: Tone,
}

/// Rows of text. The first column names its row; the others are numbers unless named in `words`.
#[derive(Default)]
pub struct Table {
    pub caption: String,
    pub heads: Vec<String>,
    pub rows: Vec<Vec<String>>,
    /// Columns of words, which stand to the left.
    pub words: Vec<usize>,
}

impl Table {
    pub fn new(caption: &str, heads: &[&str]) -> Self {
        Self {
            caption: caption.to_owned(),
            heads: heads.iter().map(|head| (*head).to_owned()).collect(),
            ..Self::default()
        }
    }

    pub fn words(mut self, column: usize) -> Self {
        self.words.push(column);
        self
    }

    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }
}

impl Page {
    /// `kind` is the kind of report, above the heading; `facts` stand below it.
    pub fn new(title: &str, kind: &str, facts: &[String]) -> Self {
        let mut body = format!(
            "<header>\n<p class=\"kind\">{}</p>\n<h1>{}</h1>\n<ul class=\"facts\">",
            escape(kind),
            escape(title)
        );
        for fact in facts {
            let _ = write!(body, "<li>{}</li>", escape(fact));
        }
        body += "</ul>\n</header>\n";
        Self {
            title: format!("{kind}: {title}"),
            body,
        }
    }

    /// A sentence that must not be missed.
    pub fn banner(&mut self, tone: Tone, headline: &str, text: &str) {
        let _ = writeln!(
            self.body,
            "<div class=\"banner {}\" role=\"{}\"><strong>{}</strong> {}</div>",
            tone.class(),
            if tone == Tone::Bad { "alert" } else { "note" },
            escape(headline),
            escape(text)
        );
    }

    pub fn tiles(&mut self, tiles: &[Tile]) {
        self.body += "<dl class=\"tiles\">\n";
        for tile in tiles {
            let _ = write!(
                self.body,
                "<div class=\"{}\"><dt>{}</dt><dd><b>{}</b>",
                tile.tone.class(),
                escape(&tile.label),
                escape(&tile.value)
            );
            if !tile.unit.is_empty() {
                let _ = write!(self.body, " <span>{}</span>", escape(&tile.unit));
            }
            let _ = writeln!(self.body, "</dd><dd class=\"note\">{}</dd></div>", escape(&tile.note));
        }
        self.body += "</dl>\n";
    }

    pub fn heading(&mut self, text: &str) {
        let _ = writeln!(self.body, "<h2>{}</h2>", escape(text));
    }

    pub fn paragraph(&mut self, text: &str) {
        let _ = writeln!(self.body, "<p>{}</p>", escape(text));
    }

    pub fn plot(&mut self, plot: &Plot) {
        self.body += &plot.html();
    }

    pub fn table(&mut self, table: &Table) {
        let class = |column: usize| match column == 0 || table.words.contains(&column) {
            true => "",
            false => " class=\"n\"",
        };
        let body = &mut self.body;
        let _ = write!(
            body,
            "<div class=\"scroll\"><table>\n<caption>{}</caption>\n<thead><tr>",
            escape(&table.caption)
        );
        for (column, head) in table.heads.iter().enumerate() {
            let _ = write!(body, "<th scope=\"col\"{}>{}</th>", class(column), escape(head));
        }
        *body += "</tr></thead>\n<tbody>\n";
        for row in &table.rows {
            *body += "<tr>";
            for (column, cell) in row.iter().enumerate() {
                let _ = match column {
                    0 => write!(body, "<th scope=\"row\">{}</th>", escape(cell)),
                    _ => write!(body, "<td{}>{}</td>", class(column), escape(cell)),
                };
            }
            *body += "</tr>\n";
        }
        *body += "</tbody></table></div>\n";
    }

    /// The whole document. The policy in its head lets a browser fetch nothing, whatever were to stand in the text.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        writeln!(
            to,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
             <meta name=\"color-scheme\" content=\"light dark\"/>\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
             <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{}</main>\n\
             <footer>tollgate-loadtest {}</footer>\n</body>\n</html>",
            escape(&self.title),
            self.body,
            env!("CARGO_PKG_VERSION"),
        )
    }
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }
}

/// Text as it may stand between tags and in quoted attributes. Control characters, which no document may hold, are
/// shown as what they are: unreadable.
pub fn escape(text: &str) -> Cow<'_, str> {
    let special =
        |letter: char| matches!(letter, '&' | '<' | '>' | '"' | '\'') || (letter.is_control() && letter != '\n');
    if !text.contains(special) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            '\n' => safe.push('\n'),
            letter if letter.is_control() => safe.push('\u{fffd}'),
            letter => safe.push(letter),
        }
    }
    Cow::Owned(safe)
}
