//! White space between the tokens of JSON documents that stand in a text: on lines of their own, or in a block of code that
//! says `json`. Only of what parses (RFC 8259); every token stays byte for byte.

/// A shorter document has nothing to give.
const LEAST_BYTES: usize = 24;
/// As deep as a document may be.
const MAX_DEPTH: usize = 64;
/// Looking for documents reads a text at most so often: a text of nothing but brackets is not read once for each.
const MOST_READS: usize = 4;

/// Appends the prose, the documents in it without their white space.
pub(super) fn shorten(prose: &str, out: &mut String) {
    let mut left = prose.len().saturating_mul(MOST_READS);
    let mut at = 0;
    while at < prose.len() {
        let rest = prose.get(at..).unwrap_or_default();
        let line = rest.find('\n').map_or(rest.len(), |end| end + 1);
        let body = rest.trim_start_matches([' ', '\t']);
        let indent = rest.len() - body.len();
        if indent < line && body.starts_with(['{', '[']) && left > 0 {
            let read = Reader::new(body).document();
            left = left.saturating_sub(read.read_bytes);
            if let Some(end) = read.end {
                let behind = body.get(end..).unwrap_or_default();
                let ends_line = behind.trim_start_matches([' ', '\t', '\r']);
                if end >= LEAST_BYTES && (ends_line.is_empty() || ends_line.starts_with('\n')) {
                    out.push_str(rest.get(..indent).unwrap_or_default());
                    out.push_str(&read.minified);
                    at += indent + end;
                    continue;
                }
            }
        }
        out.push_str(rest.get(..line).unwrap_or_default());
        at += line;
    }
}

/// A text that is one document, and white space around it.
pub(super) fn whole(text: &str) -> Option<String> {
    let body = text.trim_start();
    let read = Reader::new(body).document();
    let end = read.end.filter(|_| body.starts_with(['{', '[']))?;
    body.get(end..)?.trim().is_empty().then_some(read.minified)
}

struct Read {
    /// Behind the document, where it is one.
    end: Option<usize>,
    minified: String,
    read_bytes: usize,
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    out: String,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            at: 0,
            out: String::new(),
        }
    }

    fn document(mut self) -> Read {
        let is_one = self.value(MAX_DEPTH).is_some();
        Read {
            end: is_one.then_some(self.at),
            minified: self.out,
            read_bytes: self.at + 1,
        }
    }

    /// The first byte of the next token.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn take(&mut self, bytes: usize) -> Option<()> {
        self.out.push_str(self.text.get(self.at..self.at + bytes)?);
        self.at += bytes;
        Some(())
    }

    fn mark(&mut self, mark: u8) -> Option<()> {
        (self.peek()? == mark).then(|| self.take(1))?
    }

    /// A value with all that is in it. None: it is none.
    fn value(&mut self, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match self.peek()? {
            b'{' => self.members(b'}', |reader| {
                reader.string()?;
                reader.mark(b':')?;
                reader.value(depth)
            }),
            b'[' => self.members(b']', |reader| reader.value(depth)),
            b'"' => self.string(),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.number(),
        }
    }

    fn members(&mut self, end: u8, mut member: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.take(1)?;
        if self.peek()? == end {
            return self.take(1);
        }
        loop {
            member(self)?;
            match self.peek()? {
                b',' => self.take(1)?,
                mark if mark == end => return self.take(1),
                _ => return None,
            }
        }
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let is = self.text.get(self.at..)?.starts_with(word);
        is.then(|| self.take(word.len()))?
    }

    fn string(&mut self) -> Option<()> {
        if self.peek()? != b'"' {
            return None;
        }
        let bytes = self.text.as_bytes();
        let mut end = self.at + 1;
        loop {
            match *bytes.get(end)? {
                b'"' => return self.take(end + 1 - self.at),
                b'\\' => {
                    let escapes = match *bytes.get(end + 1)? {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 0,
                        b'u' => 4,
                        _ => return None,
                    };
                    let digits = bytes.get(end + 2..end + 2 + escapes)?;
                    if !digits.iter().all(u8::is_ascii_hexdigit) {
                        return None;
                    }
                    end += 2 + escapes;
                }
                0..=0x1f => return None,
                _ => end += 1,
            }
        }
    }

    fn number(&mut self) -> Option<()> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let mut end = usize::from(rest.first() == Some(&b'-'));
        let digits = |from: usize| {
            let digits = rest.iter().skip(from).take_while(|byte| byte.is_ascii_digit());
            digits.count()
        };
        let whole = digits(end);
        if whole == 0 || whole > 1 && rest.get(end) == Some(&b'0') {
            return None;
        }
        end += whole;
        if rest.get(end) == Some(&b'.') {
            let fraction = digits(end + 1);
            end += 1 + Some(fraction).filter(|fraction| *fraction > 0)?;
        }
        if matches!(rest.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(rest.get(end + 1), Some(b'+' | b'-')));
            let exponent = digits(end + 1 + sign);
            end += 1 + sign + Some(exponent).filter(|exponent| *exponent > 0)?;
        }
        self.take(end)
    }
}
