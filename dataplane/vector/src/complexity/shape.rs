//! How a prompt is built: the items that it lists, as the choices of a question are, and what stands before them. Knows no
//! weights.

/// So many items are compared with the one before, and so many words of each: choices are few and short.
const MAX_COMPARED_ITEMS: u32 = 16;
const MAX_COMPARED_WORDS: usize = 16;

#[derive(Debug, Default, PartialEq)]
pub struct Shape {
    pub items: u32,
    item_words: u32,
    /// Those that begin with a number.
    numeric_items: u32,
    compared_items: u32,
    /// Of each compared item the share of its words that the one before has too.
    alike: f32,
    /// Before the first item; of all the text where nothing is listed.
    pub words_before: u32,
    /// What stands before the items ends with a question mark.
    pub asks: bool,
}

impl Shape {
    pub fn of(text: &str) -> Self {
        let mut shape = Self::default();
        let (mut item_before, mut word_before) = (None, "");
        for line in text.lines() {
            if let Some(item) = item(line) {
                shape.add(item, item_before);
                item_before = Some(item);
            } else if item_before.is_none() {
                for word in line.split_ascii_whitespace() {
                    shape.words_before += 1;
                    word_before = word;
                }
            }
        }
        shape.asks = word_before.ends_with('?');
        shape
    }

    fn add(&mut self, item: &str, before: Option<&str>) {
        self.items += 1;
        self.item_words += item.split_ascii_whitespace().count() as u32;
        let bare = item.trim_start_matches(|letter: char| !letter.is_alphanumeric());
        self.numeric_items += u32::from(bare.starts_with(|letter: char| letter.is_ascii_digit()));
        if let Some(before) = before.filter(|_| self.items <= MAX_COMPARED_ITEMS) {
            self.compared_items += 1;
            self.alike += words_in_common(item, before);
        }
    }

    pub fn words_an_item(&self) -> f32 {
        self.item_words as f32 / self.items.max(1) as f32
    }

    pub fn numeric_share(&self) -> f32 {
        self.numeric_items as f32 / self.items.max(1) as f32
    }

    pub fn alike_share(&self) -> f32 {
        self.alike / self.compared_items.max(1) as f32
    }
}

/// The share of the words of one that the other has.
fn words_in_common(one: &str, other: &str) -> f32 {
    let words = |text| str::split_ascii_whitespace(text).take(MAX_COMPARED_WORDS);
    let has = |wanted: &&str| words(other).any(|word| word.eq_ignore_ascii_case(wanted));
    words(one).filter(has).count() as f32 / words(one).count().max(1) as f32
}

/// What follows the mark of a line that is an item of a list: `1.`, `2)`, `A.`, `- `, `* `.
fn item(line: &str) -> Option<&str> {
    let line = line.trim_start();
    match line.as_bytes() {
        [mark, b'.' | b')', ..] if mark.is_ascii_alphanumeric() => line.get(2..),
        [b'-' | b'*', b' ', ..] => line.get(2..),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_told_from_what_stands_before_them() {
        let shape = Shape::of("Which is\nlarger?\nA. $12 an hour\nB. 15 an Hour\n C) none of them\nAnswer:");
        let expected = Shape {
            items: 3,
            item_words: 9,
            numeric_items: 2,
            compared_items: 2,
            alike: 2.0 / 3.0,
            words_before: 3,
            asks: true,
        };
        assert_eq!(shape, expected);
        assert_eq!(shape.words_an_item(), 3.0);
        assert_eq!(shape.alike_share(), 1.0 / 3.0);
    }

    #[test]
    fn a_text_without_items_is_all_before_them() {
        let shape = Shape::of("Is it so? Say why.");
        assert_eq!((shape.items, shape.words_before, shape.asks), (0, 5, false));
        assert_eq!(Shape::of(""), Shape::default());
        assert_eq!(Shape::of("- one\n* two").words_before, 0);
        assert_eq!(Shape::of("é. no item").items, 0);
    }

    #[test]
    fn of_long_lists_the_first_items_are_compared() {
        let shape = Shape::of(&"- the same\n".repeat(100));
        assert_eq!((shape.items, shape.compared_items), (100, MAX_COMPARED_ITEMS - 1));
        assert_eq!(shape.alike_share(), 1.0);
    }
}
