//! Turns of phrase as a tree of words: each is found in as many steps as it has words. Knows no prompt.

use super::tables::{Id, NONE};
use super::words::{QUESTION_WORDS, has};

/// One turn of phrase.
#[derive(Debug)]
pub struct Turn {
    pub words: usize,
    only_at_clause: bool,
    /// It begins as a question does.
    pub asks: bool,
    pub says: Vec<Says>,
}

#[derive(Debug)]
pub enum Says {
    /// What kind of question it is.
    Frame(&'static str),
    Term(Id),
}

#[derive(Debug, Default)]
struct Place {
    /// Words that lead on, by id, and where to.
    next: Vec<(Id, u32)>,
    /// Turns that end here, as they stand in the list.
    turns: Vec<Turn>,
}

#[derive(Debug)]
pub struct Turns(Vec<Place>);

const ROOT: u32 = 0;

impl Turns {
    /// Of patterns and what they say. `id_of` knows all of their words.
    pub fn new(phrases: &[(&'static str, &'static str)], id_of: impl Fn(&str) -> Id) -> Self {
        let mut made = Self(vec![Place::default()]);
        for (pattern, says) in phrases {
            let words = pattern.trim_start_matches('^').split(' ');
            let place = words.clone().fold(ROOT, |place, word| made.behind(place, id_of(word)));
            let said = says.split(' ').filter(|said| !said.is_empty());
            let said = said.map(|said| match said.strip_prefix('@') {
                Some(frame) => Says::Frame(frame),
                None => Says::Term(id_of(said)),
            });
            made.0[place as usize].turns.push(Turn {
                words: words.clone().count(),
                only_at_clause: pattern.starts_with('^'),
                asks: words.clone().next().is_some_and(|first| has(QUESTION_WORDS, first)),
                says: said.collect(),
            });
        }
        made
    }

    fn behind(&mut self, place: u32, word: Id) -> u32 {
        assert!(word != NONE, "the words of phrases are in the tables");
        let new = self.0.len() as u32;
        let next = &mut self.0[place as usize].next;
        match next.binary_search_by_key(&word, |(word, _)| *word) {
            Ok(at) => next[at].1,
            Err(at) => {
                next.insert(at, (word, new));
                self.0.push(Place::default());
                new
            }
        }
    }

    /// The longest that these words begin with.
    pub fn longest(&self, clause_begins: bool, words: impl Iterator<Item = Id>) -> Option<&Turn> {
        let mut found = None;
        let mut place = self.0.first()?;
        for word in words {
            let Ok(at) = place.next.binary_search_by_key(&word, |(word, _)| *word) else {
                break;
            };
            let (_, next) = place.next.get(at)?;
            place = self.0.get(*next as usize)?;
            let fits = |turn: &&Turn| clause_begins || !turn.only_at_clause;
            found = place.turns.iter().find(fits).or(found);
        }
        found
    }
}
