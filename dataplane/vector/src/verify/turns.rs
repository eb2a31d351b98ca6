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

impl Place {
    fn behind(&self, word: Id) -> Option<u32> {
        let at = self.next.binary_search_by_key(&word, |(word, _)| *word).ok()?;
        self.next.get(at).map(|(_, next)| *next)
    }
}

#[derive(Debug)]
pub struct Turns {
    places: Vec<Place>,
    /// Where each word leads that turns begin with, by id: nowhere but for some of them.
    begins: Vec<u32>,
}

const ROOT: u32 = 0;
const NOWHERE: u32 = ROOT;

impl Turns {
    /// Of patterns and what they say. `id_of` knows all of their words.
    pub fn new(phrases: &[(&'static str, &'static str)], id_of: impl Fn(&str) -> Id) -> Self {
        let mut made = Self {
            places: vec![Place::default()],
            begins: Vec::new(),
        };
        for (pattern, says) in phrases {
            let words = pattern.trim_start_matches('^').split(' ');
            let place = words.clone().fold(ROOT, |place, word| made.behind(place, id_of(word)));
            let said = says.split(' ').filter(|said| !said.is_empty());
            let said = said.map(|said| match said.strip_prefix('@') {
                Some(frame) => Says::Frame(frame),
                None => Says::Term(id_of(said)),
            });
            made.places[place as usize].turns.push(Turn {
                words: words.clone().count(),
                only_at_clause: pattern.starts_with('^'),
                asks: words.clone().next().is_some_and(|first| has(QUESTION_WORDS, first)),
                says: said.collect(),
            });
        }
        for (word, place) in &made.places[ROOT as usize].next {
            let word = usize::from(word.0);
            made.begins.resize(made.begins.len().max(word + 1), NOWHERE);
            made.begins[word] = *place;
        }
        made
    }

    fn behind(&mut self, place: u32, word: Id) -> u32 {
        assert!(word != NONE, "the words of phrases are in the tables");
        let new = self.places.len() as u32;
        let next = &mut self.places[place as usize].next;
        match next.binary_search_by_key(&word, |(word, _)| *word) {
            Ok(at) => next[at].1,
            Err(at) => {
                next.insert(at, (word, new));
                self.places.push(Place::default());
                new
            }
        }
    }

    /// The longest that these words begin with.
    pub fn longest(&self, clause_begins: bool, mut words: impl Iterator<Item = Id>) -> Option<&Turn> {
        let first = words.next()?;
        let mut next = *self.begins.get(usize::from(first.0))?;
        let mut found = None;
        while next != NOWHERE {
            let place = self.places.get(next as usize)?;
            let fits = |turn: &&Turn| clause_begins || !turn.only_at_clause;
            found = place.turns.iter().find(fits).or(found);
            let behind = words.next().and_then(|word| place.behind(word));
            next = behind.unwrap_or(NOWHERE);
        }
        found
    }
}
