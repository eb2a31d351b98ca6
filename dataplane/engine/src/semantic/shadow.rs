//! `mode: shadow`: does what would have been served say the same as the provider does? By their words, and by how near those
//! are. Knows no cache and no prompt.

use tollgate_config::document::Dialect;
use tollgate_dialect::canonical::event::{Began, Event};
use tollgate_vector::{Embedder, Scratch, Window};

use super::node::dot;
use crate::{exact::Form, speaks};

/// Of an answer, so much is compared.
const MAX_BYTES: usize = 64 << 10;
/// From this similarity on two answers are taken to say much the same.
const ALIKE: f32 = 0.9;

/// How much two answers to one question agree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreed {
    pub agreement: Agreement,
    /// Of what they say.
    pub similarity: f32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// The same words.
    Same,
    Alike,
    Other,
    /// Of a call that was made again: one of the two could not be compared.
    Unread,
}

impl Agreement {
    pub const ALL: [Self; 4] = [Self::Same, Self::Alike, Self::Other, Self::Unread];

    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Alike => "alike",
            Self::Other => "other",
            Self::Unread => "unread",
        }
    }
}

/// None where one cannot be read.
pub(crate) fn compare(
    (embedder, scratch): (&Embedder, &mut Scratch),
    dialect: Dialect,
    one: (Form, &[u8]),
    other: (Form, &[u8]),
) -> Option<Agreed> {
    let (one, other) = (words(dialect, one)?, words(dialect, other)?);
    if one == other {
        return Some(Agreed {
            agreement: Agreement::Same,
            similarity: 1.0,
        });
    }
    let mut vector = |text: &str| {
        let mut vector = vec![0.0; embedder.dims()];
        embedder.embed_window(text, Window::default(), scratch, &mut vector);
        vector
    };
    let similarity = dot(&vector(&one), &vector(&other));
    let agreement = match similarity >= ALIKE {
        true => Agreement::Alike,
        false => Agreement::Other,
    };
    Some(Agreed { agreement, similarity })
}

/// What an answer says, in small letters, with one space between words.
fn words(dialect: Dialect, (form, body): (Form, &[u8])) -> Option<String> {
    let (mut said, mut is_text) = (String::new(), false);
    let mut take = |event: &Event<'_>| match event {
        Event::Began { what, .. } => is_text = matches!(what, Began::Text),
        Event::Piece { text, .. } if is_text && said.len() < MAX_BYTES => {
            if let Some(text) = text.plain() {
                said.push_str(&text);
            }
        }
        _ => {}
    };
    let speaks = speaks::of(dialect);
    match form {
        Form::Whole => speaks.read_answer(body, &mut take).ok()?,
        Form::Stream { .. } => {
            let mut reader = speaks.stream_reader();
            reader.feed(body, &mut take).ok()?;
            reader.end(&mut take).ok()?;
        }
    }
    let words: Vec<String> = said.split_whitespace().map(str::to_lowercase).collect();
    Some(words.join(" "))
}
