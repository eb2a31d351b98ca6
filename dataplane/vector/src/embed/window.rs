//! Which part of a long text is embedded: its beginning and its end, whole words, by stated lengths. What a window leaves
//! out must be compared by other means before an answer is served. Knows no tokens.

/// So many bytes of a text's beginning and end; a text that is no longer than both together is embedded whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub head_bytes: usize,
    pub tail_bytes: usize,
}

impl Default for Window {
    /// About 2,000 tokens of English on either side.
    fn default() -> Self {
        Self {
            head_bytes: 8 << 10,
            tail_bytes: 8 << 10,
        }
    }
}

impl Window {
    /// The two parts of `text`, of which the second is empty when the text is whole.
    pub fn of(self, text: &str) -> [&str; 2] {
        if text.len() <= self.head_bytes.saturating_add(self.tail_bytes) {
            return [text, ""];
        }
        let head = text.get(..text.floor_char_boundary(self.head_bytes)).unwrap_or("");
        let tail = text
            .get(text.ceil_char_boundary(text.len() - self.tail_bytes)..)
            .unwrap_or("");
        // A word cut in two would be other tokens; a part without any space is kept as it is.
        let head = head
            .rfind(char::is_whitespace)
            .and_then(|at| head.get(..at))
            .unwrap_or(head);
        let tail = tail
            .find(char::is_whitespace)
            .and_then(|at| tail.get(at..))
            .unwrap_or(tail);
        [head, tail]
    }
}
