//! What small words say of those they lead: which of a kind, whose, how many, and where. Reading takes them away, so they are
//! looked at beside, each with the word that it leads in both prompts. Knows no meaning.

use std::borrow::Cow;
use std::ops::Range;

use super::Difference;
use super::marks::{self, Marks};
use super::tables::{Named, Tables};
use super::words::{Class, Determiner, Preposition};
use super::written::{Token, Written};

/// Whether the small words of both say the same of the words that both have.
pub fn alike(one: &Written<'_>, other: &Written<'_>, tables: &Tables) -> Result<(), Difference> {
    if one.seems_to_have(tables) != other.seems_to_have(tables) || one.towards_me() != other.towards_me() {
        return Err(Difference::Direction);
    }
    let is_handed = |asks: &Written<'_>, hands: &Written<'_>| hands.hands_over(tables) && asks.asks_what_it_is(tables);
    if is_handed(one, other) || is_handed(other, one) {
        return Err(Difference::QuestionType);
    }
    let (of_one, of_other) = that_may_differ(one, other);
    let (ones, others) = (Side::of(one, of_one, tables), Side::of(other, of_other, tables));
    if ones.left != others.left {
        return Err(Difference::Direction);
    }
    let mut theirs = others.led.iter().peekable();
    for led in &ones.led {
        while theirs.next_if(|their| their.key < led.key).is_some() {}
        if let Some(their) = theirs.next_if(|their| their.key == led.key) {
            led.alike(their, (&ones, &others), tables)?;
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
    is_number: bool,
    /// "The best": there is but one.
    is_superlative: bool,
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
}

impl<'w, 't> Side<'w, 't> {
    /// Of those words of a prompt that the other may lead otherwise.
    fn of(written: &'w Written<'t>, words: Range<usize>, tables: &Tables) -> Self {
        let mut led = Vec::with_capacity(words.len());
        let (mut determiner, mut preposition) = (Determiner::Bare, Preposition::Bare);
        let (mut is_counted, mut left) = (false, Preposition::Bare);
        let all = written.words.iter().enumerate();
        for (at, word) in all.take(words.end).skip(words.start) {
            let facts = tables.facts(word.id);
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
                    is_number: is_number(word, tables),
                    is_superlative: facts.class == Some(Class::Comparison) && word.lower.ends_with("st"),
                    class: tables.class(canonical.id),
                    is_plural,
                    describes: word.marks.has(marks::DESCRIBES),
                    is_counted: std::mem::take(&mut is_counted),
                    is_the_one: is_name
                        || (!word.before_mark
                            && next.is_some_and(|next| tables.facts(next.id).preposition == Preposition::Of)),
                });
                is_counted = is_number(word, tables);
            }
            if word.before_mark {
                (determiner, preposition, is_counted) = (Determiner::Bare, Preposition::Bare, false);
            }
        }
        led.sort_unstable_by_key(|led| (led.key.0, led.place));
        for same in led.chunk_by_mut(|one, other| one.key.0 == other.key.0) {
            (0..).zip(same).for_each(|(times, led)| led.key.1 = times);
        }
        Self { written, led, left }
    }

    fn says(&self, list: Marks) -> bool {
        self.written.seen.has(list)
    }

    /// Whether the clause is what is typed into a search box: words that are no grammar, and no request.
    fn is_search(&self, led: &Led, tables: &Tables) -> bool {
        let words = &self.written.words[..];
        let (before, behind) = words.split_at_checked(usize::from(led.place)).unwrap_or((words, &[]));
        let begins = before
            .iter()
            .rposition(|word| word.before_mark)
            .map_or(0, |mark| mark + 1);
        let ends = behind
            .iter()
            .position(|word| word.before_mark)
            .map_or(words.len(), |mark| before.len() + mark + 1);
        let clause = words.get(begins..ends).unwrap_or_default();
        // What stands behind a word of politeness is some too.
        let mut clause = clause
            .iter()
            .enumerate()
            .take_while(|(at, word)| *at == 0 || !word.marks.has(marks::IS_POLITE));
        let grammar = marks::IS_SILENT
            .and(marks::IS_QUESTION)
            .and(marks::BEGINS_WHETHER)
            .and(marks::IS_REQUEST);
        clause.all(|(_, word)| tables.facts(word.id).preposition != Preposition::Bare || !word.marks.has(grammar))
    }
}

/// The words that may be led otherwise in the other: not those that both begin or end with, but for the nearest.
fn that_may_differ(one: &Written<'_>, other: &Written<'_>) -> (Range<usize>, Range<usize>) {
    let is_small = |word: &Token<'_>| word.marks.has(marks::IS_SILENT) || word.lower == "s";
    // Small words are in the tables, and all others were compared by their letters.
    let is_same = |(one, other): &(&Token<'_>, &Token<'_>)| {
        one.hash == other.hash && one.id == other.id && one.before_mark == other.before_mark
    };
    let (ones, others) = (&one.words[..], &other.words[..]);
    let alike = ones.iter().zip(others).take_while(is_same).count();
    let behind = (
        ones.get(alike..).unwrap_or_default(),
        others.get(alike..).unwrap_or_default(),
    );
    let ending = behind
        .0
        .iter()
        .rev()
        .zip(behind.1.iter().rev())
        .take_while(is_same)
        .count();
    // A number may count what stands behind it.
    let shared = ones.get(..alike).unwrap_or_default();
    let begins = shared.iter().rposition(|word| !is_small(word)).unwrap_or(0);
    let ends = ones.len() - ending;
    let shared = ones.get(ends..).unwrap_or_default();
    let more = shared
        .iter()
        .position(|word| !is_small(word))
        .map_or(ending, |at| at + 1);
    (begins..ends + more, begins..others.len() - ending + more)
}

fn is_number(word: &Token<'_>, tables: &Tables) -> bool {
    tables.facts(word.id).number.is_some() || word.lower.starts_with(|first: char| first.is_ascii_digit())
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
    fn alike(&self, other: &Self, sides: (&Side<'_, '_>, &Side<'_, '_>), tables: &Tables) -> Result<(), Difference> {
        let (ours, theirs) = sides;
        let is_determined = self.is_determined_as(other, || ours.is_search(self, tables))
            || other.is_determined_as(self, || theirs.is_search(other, tables));
        if !is_determined || !self.counts_as(other, ours, theirs) {
            return Err(Difference::Scope);
        }
        match self.leads_as(other) || other.leads_as(self) {
            true => Ok(()),
            false => Err(Difference::Direction),
        }
    }

    fn is_determined_as(&self, other: &Self, is_search: impl Fn() -> bool) -> bool {
        use Determiner::{A, Bare, My, Owned, Part, The, Which};
        match (self.determiner, other.determiner) {
            (one, other) if one == other => true,
            (Which | Owned, Bare | The) | (Bare, Part) => true,
            (Bare, The) if self.is_the_one || other.is_the_one || self.is_superlative => true,
            (Bare, A) if self.describes => true,
            // "Summarize it", "a summary of it"; "they differ", "the difference".
            (Bare, The | A) if self.hash != other.hash => true,
            (Bare, The | A | My) => is_search(),
            _ => false,
        }
    }

    /// "Works" is "work" where "does" stands beside that.
    fn counts_as(&self, other: &Self, ours: &Side<'_, '_>, theirs: &Side<'_, '_>) -> bool {
        let may_be_verb = |led: &Self| led.determiner == Determiner::Bare && led.preposition == Preposition::Bare;
        let may_be_verbs = || may_be_verb(self) && may_be_verb(other);
        let is_verb = |with_s: &Side<'_, '_>, without: &Side<'_, '_>| {
            without.says(marks::IS_DOES) && !with_s.says(marks::IS_DO) && may_be_verbs()
        };
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
            (Bare, Of) | (Of, In) => true,
            // "For 30 days" is not "30 days".
            (Bare, _) => !self.is_number,
            (In, During) => self.class == Some(Class::Date),
            (In, To) => matches!(self.class, Some(Class::Unit | Class::Currency | Class::Language)),
            (In, As) => true,
            _ => false,
        }
    }
}

impl Written<'_> {
    /// How often "'s" and "'d" may be "has" and "had": before what is done, or who did it.
    fn seems_to_have(&self, tables: &Tables) -> usize {
        let is_done = |word: Option<&Token<'_>>| {
            let listed = marks::IS_PARTICIPLE.and(marks::IS_HELPED).and(marks::HAVE);
            word.is_some_and(|word| word.marks.has(listed) || word.lower.ends_with("ed") || word.lower.ends_with("en"))
        };
        let may_have = |at: usize| {
            let next = self.words.get(at + 1);
            let who_did = next.is_some_and(|next| !next.marks.has(marks::IS_SILENT) || next.lower == "it")
                && is_done(self.words.get(at + 2));
            // "Who's the manager promoted?"
            let is_led = next.is_some_and(|next| tables.facts(next.id).determiner != Determiner::Bare);
            is_done(next) || who_did || (is_led && is_done(self.words.get(at + 3)))
        };
        let is_short = |at: usize, word: &Token<'_>| {
            let before = at.checked_sub(1).and_then(|before| self.words.get(before));
            (word.lower == "s" && before.is_some_and(|before| before.marks.has(marks::TAKES_IS))) || word.lower == "d"
        };
        if !self.seen.has(marks::IS_LEFT) {
            return 0;
        }
        let left = self.words.iter().enumerate();
        left.filter(|(at, word)| is_short(*at, word) && may_have(*at)).count()
    }

    /// How often something is done to who asks: not where one is to explain it to them, or is asked to do it for them.
    fn towards_me(&self) -> usize {
        if !self.seen.has(marks::IS_ME) {
            return 0;
        }
        let mut words = self.words.iter().filter(|word| !word.marks.has(marks::IS_POLITE));
        let asks = marks::IS_QUESTION.and(marks::BEGINS_WHETHER);
        let is_question = words.next().is_some_and(|first| first.marks.has(asks))
            && words.next().is_some_and(|who| who.lower != "you");
        let is_towards = |to: &Token<'_>| match &*to.lower {
            "with" | "about" => true,
            "to" => is_question || !self.seen.has(marks::EXPLAINS),
            "for" => is_question,
            _ => false,
        };
        let pairs = self.words.iter().zip(self.words.iter().skip(1));
        pairs
            .filter(|(to, me)| me.marks.has(marks::IS_ME) && is_towards(to))
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
        (is && of_all && !self.has_led(tables)) || self.seen.has(marks::EXPLAINS)
    }

    /// "Name a river"; "give me an explanation of it" does not.
    fn hands_over(&self, tables: &Tables) -> bool {
        self.seen.has(marks::HANDS_OVER) && !self.has_led(tables)
    }

    fn has_led(&self, tables: &Tables) -> bool {
        let leads = |word: &Token<'_>| tables.facts(word.id).preposition != Preposition::Bare;
        self.words.iter().any(leads)
    }
}
