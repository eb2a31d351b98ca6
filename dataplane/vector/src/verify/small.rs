//! What small words say of those they lead: which of a kind, whose, how many, and where. Reading takes them away, so they are
//! looked at beside, each with the word that it leads in both prompts. Knows no meaning.

use std::borrow::Cow;

use super::Difference;
use super::marks;
use super::tables::{Named, Tables};
use super::words::{Class, Determiner, Preposition};
use super::written::{Token, Written};

/// Whether the small words of both say the same of the words that both have.
pub fn alike(one: &Written<'_>, other: &Written<'_>, tables: &Tables) -> Result<(), Difference> {
    if one.seems_to_have() != other.seems_to_have() || one.towards_me() != other.towards_me() {
        return Err(Difference::Direction);
    }
    if (one.asks_what_it_is(tables) && other.hands_over()) || (other.asks_what_it_is(tables) && one.hands_over()) {
        return Err(Difference::QuestionType);
    }
    let (ones, others) = (Side::of(one, tables), Side::of(other, tables));
    if ones.left != others.left {
        return Err(Difference::Direction);
    }
    let mut theirs = others.led.iter().peekable();
    for led in &ones.led {
        while theirs.next_if(|their| their.key < led.key).is_some() {}
        if let Some(their) = theirs.next_if(|their| their.key == led.key) {
            led.alike(their, &ones, &others)?;
        }
    }
    Ok(())
}

/// A word that is no small one, and what leads it.
struct Led {
    /// Of the word that stands for this one, and how often that stood before.
    key: (u32, u16),
    /// Of the word as it stands.
    hash: u32,
    place: u16,
    determiner: Determiner,
    preposition: Preposition,
    class: Option<Class>,
    is_plural: bool,
    is_counted: bool,
    /// "A simple explanation" is one in simple terms.
    describes: bool,
    /// The one of its kind, whatever leads it: a name, or "the price of".
    is_the_one: bool,
}

struct Side<'w, 't> {
    written: &'w Written<'t>,
    led: Vec<Led>,
    /// A preposition that leads nowhere: "What is it for?"
    left: Preposition,
    /// Nothing but words that are no grammar, and no request: what is typed into a search box.
    is_search: bool,
}

impl<'w, 't> Side<'w, 't> {
    fn of(written: &'w Written<'t>, tables: &Tables) -> Self {
        let mut led = Vec::with_capacity(written.words.len());
        let (mut determiner, mut preposition) = (Determiner::Bare, Preposition::Bare);
        let (mut is_counted, mut is_search, mut left) = (false, true, Preposition::Bare);
        for (at, word) in written.words.iter().enumerate() {
            let facts = tables.facts(word.id);
            let grammar = marks::IS_QUESTION.and(marks::BEGINS_WHETHER).and(marks::IS_REQUEST);
            is_search &= facts.preposition != Preposition::Bare || !word.marks.has(marks::IS_SILENT.and(grammar));
            if facts.preposition != Preposition::Bare {
                (determiner, preposition) = (Determiner::Bare, facts.preposition);
                left = if word.before_mark { preposition } else { left };
            } else if facts.determiner != Determiner::Bare {
                determiner = facts.determiner;
            } else if word.marks.has(marks::IS_SILENT) {
                (determiner, preposition) = (Determiner::Bare, Preposition::Bare);
            } else if word.lower == "s" {
                determiner = Determiner::Owned;
            } else {
                let (canonical, is_plural) = stands_for(word, tables);
                let next = written.words.get(at + 1);
                let is_name = !word.begins && word.text != word.lower;
                led.push(Led {
                    key: (canonical.hash, 0),
                    hash: word.hash,
                    place: at as u16,
                    determiner: std::mem::take(&mut determiner),
                    preposition: std::mem::take(&mut preposition),
                    class: tables.class(canonical.id),
                    is_plural,
                    describes: word.marks.has(marks::DESCRIBES),
                    is_counted: std::mem::take(&mut is_counted),
                    is_the_one: is_name
                        || (!word.before_mark
                            && next.is_some_and(|next| tables.facts(next.id).preposition == Preposition::Of)),
                });
                is_counted = facts.number.is_some() || word.lower.starts_with(|first: char| first.is_ascii_digit());
            }
        }
        led.sort_unstable_by_key(|led| (led.key.0, led.place));
        for same in led.chunk_by_mut(|one, other| one.key.0 == other.key.0) {
            (0..).zip(same).for_each(|(times, led)| led.key.1 = times);
        }
        Self {
            written,
            led,
            left,
            is_search,
        }
    }

    fn says_does(&self) -> bool {
        self.written.seen.has(marks::IS_DOES)
    }
}

/// The word that stands for this one, and whether this is its plural.
fn stands_for<'a>(word: &'a Token<'_>, tables: &'a Tables) -> (Named<'a>, bool) {
    let text = Cow::Borrowed(&*word.lower);
    let (hash, id) = (word.hash, word.id);
    let canonical = tables.canonical(&Named { text, hash, id });
    let is_plural = word.lower.ends_with('s') && canonical.hash != hash && !canonical.text.ends_with('s');
    (canonical, is_plural)
}

impl Led {
    fn alike(&self, other: &Self, ours: &Side<'_, '_>, theirs: &Side<'_, '_>) -> Result<(), Difference> {
        let is_determined =
            self.is_determined_as(other, ours.is_search) || other.is_determined_as(self, theirs.is_search);
        if !is_determined || !self.counts_as(other, ours, theirs) {
            return Err(Difference::Scope);
        }
        match self.leads_as(other) || other.leads_as(self) {
            true => Ok(()),
            false => Err(Difference::Direction),
        }
    }

    fn is_determined_as(&self, other: &Self, is_search: bool) -> bool {
        use Determiner::{A, Bare, My, Owned, Part, The, Which};
        match (self.determiner, other.determiner) {
            (one, other) if one == other => true,
            (Which | Owned, Bare | The) | (Bare, Part) | (Which, Owned) => true,
            (Bare, The) if self.is_the_one || other.is_the_one || self.class == Some(Class::Comparison) => true,
            (Bare, A) if self.describes => true,
            // "Summarize it", "a summary of it"; "they differ", "the difference".
            (Bare, The | A) if self.hash != other.hash => true,
            (Bare, The | A | My) => is_search,
            _ => false,
        }
    }

    /// "Works" is "work" where "does" stands beside it.
    fn counts_as(&self, other: &Self, ours: &Side<'_, '_>, theirs: &Side<'_, '_>) -> bool {
        let is_verb = |plural: &Side<'_, '_>, single: &Side<'_, '_>| single.says_does() && !plural.says_does();
        let is_measure = self.class == Some(Class::Unit) && (self.is_counted || other.is_counted);
        match (self.is_plural, other.is_plural) {
            (true, false) => is_measure || is_verb(ours, theirs),
            (false, true) => is_measure || is_verb(theirs, ours),
            _ => true,
        }
    }

    fn leads_as(&self, other: &Self) -> bool {
        use Preposition::{As, Bare, During, In, Of, To};
        match (self.preposition, other.preposition) {
            (one, other) if one == other => true,
            (Bare, _) | (Of, In) => true,
            (In, During) => self.class == Some(Class::Date),
            (In, To) => matches!(self.class, Some(Class::Unit | Class::Currency | Class::Language)),
            (In, As) => true,
            _ => false,
        }
    }
}

impl Written<'_> {
    /// How often "'s" and "'d" may be "has" and "had": before what is done, or who did it.
    fn seems_to_have(&self) -> usize {
        let is_done = |word: Option<&Token<'_>>| {
            let listed = marks::IS_PARTICIPLE.and(marks::IS_HELPED).and(marks::HAVE);
            word.is_some_and(|word| word.marks.has(listed) || word.lower.ends_with("ed") || word.lower.ends_with("en"))
        };
        let may_have = |at: usize| {
            let next = self.words.get(at + 1);
            let who_did = next.is_some_and(|next| !next.marks.has(marks::IS_SILENT)) && is_done(self.words.get(at + 2));
            is_done(next) || who_did
        };
        let is_short = |at: usize, word: &Token<'_>| {
            let before = at.checked_sub(1).and_then(|before| self.words.get(before));
            (word.lower == "s" && before.is_some_and(|before| before.marks.has(marks::TAKES_IS))) || word.lower == "d"
        };
        let left = self
            .words
            .iter()
            .enumerate()
            .filter(|(_, word)| word.marks.has(marks::IS_LEFT));
        left.filter(|(at, word)| is_short(*at, word) && may_have(*at)).count()
    }

    /// How often a question is of what is done to who asks; "explain to me" is none.
    fn towards_me(&self) -> usize {
        let mut words = self.words.iter().filter(|word| !word.marks.has(marks::IS_POLITE));
        let asks = marks::IS_QUESTION.and(marks::BEGINS_WHETHER);
        let is_question = words.next().is_some_and(|first| first.marks.has(asks))
            && words.next().is_some_and(|who| who.lower != "you");
        if !is_question || !self.seen.has(marks::IS_ME) {
            return 0;
        }
        let pairs = self.words.iter().zip(self.words.iter().skip(1));
        pairs
            .filter(|(to, me)| me.marks.has(marks::IS_ME) && ["to", "for", "with", "about"].contains(&&*to.lower))
            .count()
    }

    /// "What is a river?" is of all, and "what is the river" of one.
    fn asks_what_it_is(&self, tables: &Tables) -> bool {
        let what = self.words.iter().position(|word| word.lower == "what");
        let behind = |by: usize| what.and_then(|what| self.words.get(what + by));
        let is = behind(1).is_some_and(|is| is.marks.has(marks::BE) || is.lower == "s");
        let of_all = behind(2).is_some_and(|word| {
            let determiner = tables.facts(word.id).determiner;
            determiner == Determiner::A || (determiner == Determiner::Bare && !word.marks.has(marks::IS_SILENT))
        });
        let leads = |word: &Token<'_>| tables.facts(word.id).preposition != Preposition::Bare;
        is && of_all && !self.words.iter().any(leads)
    }

    fn hands_over(&self) -> bool {
        self.seen.has(marks::HANDS_OVER)
    }
}
