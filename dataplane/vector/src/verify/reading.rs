//! A prompt as it is compared: what kind of question it is, and its terms in order, politeness and wording taken away.
//! Knows one prompt at a time.

use std::collections::BTreeSet;

use super::lex::Kind;
use super::spelled::{POSSESSIVE, Word};
use super::tables::Tables;
use super::words::{
    ACTIVES, AUXILIARIES, Class, MANNERS, MODALS, NAMES_IN_CAPITALS, PARTICIPLES, PASSIVES, PAST, PERSONS, PRESENT,
    QUESTION_WORDS, REQUESTS, ROLES, has,
};

/// A prompt, read.
#[derive(Debug, Default)]
pub struct Reading {
    /// Kinds of question, in order; "what" is the one that is left when there is no other.
    pub frames: Vec<String>,
    /// Only words that are no grammar: what one types into a search box.
    pub telegraphic: bool,
    pub past: Option<bool>,
    pub modals: BTreeSet<&'static str>,
    /// Who asks (1) and who is asked (2), in the order they are spoken of.
    pub persons: Vec<u8>,
    /// Terms whose order is part of what is said.
    pub terms: Vec<Term>,
    /// Dates, and forms of the answer: they may stand anywhere, each kind in its own order.
    pub dates: Vec<Term>,
    pub shape: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    pub text: String,
    pub class: Class,
    pub role: Option<&'static str>,
    /// The kind of thing that "which" asks for: "which city is" asks as "what is" does.
    pub optional: bool,
    /// A preposition of place or belonging stands before it.
    pub led: bool,
    /// Whether the verb is suffered ("was called") or done ("has called"), where that can be told.
    pub suffered: Option<bool>,
}

/// Reads spelled words; without `is_english` none is taken for grammar.
pub fn read(words: Vec<Word>, tables: &Tables, is_known: &dyn Fn(&str) -> bool, is_english: bool) -> Reading {
    Reader::new(tables, is_known, words, is_english).read()
}

struct Reader<'a> {
    tables: &'a Tables,
    is_known: &'a dyn Fn(&str) -> bool,
    is_english: bool,
    words: Vec<Word>,
    at: usize,
    clause_begins: bool,
    reading: Reading,
    saw_what: bool,
    saw_grammar: bool,
    forgot: bool,
    past: bool,
    present: bool,
    role: Option<&'static str>,
    /// The last preposition was one of place or belonging.
    led: bool,
    /// A preposition that leads to the form of the answer came last.
    formed: bool,
    /// Whether the clause's last helping verb makes what follows suffered or done.
    suffers: Option<bool>,
    /// "How to" came last: a gerund is what is done.
    how_came_last: bool,
    /// Index of the first term of the run that the possessive mark belongs to.
    run_from: usize,
    /// Where "'s" stood: terms before it, and from where the run before it began.
    possessive: Option<(usize, usize)>,
    /// The next term is what "which" asks for, if a form of "be" follows.
    which: bool,
    /// The last word was "it", and stood after this many terms.
    it_after: Option<usize>,
}

impl<'a> Reader<'a> {
    fn new(tables: &'a Tables, is_known: &'a dyn Fn(&str) -> bool, words: Vec<Word>, is_english: bool) -> Self {
        Self {
            tables,
            is_known,
            is_english,
            led: false,
            formed: false,
            suffers: None,
            how_came_last: false,
            words,
            at: 0,
            clause_begins: true,
            reading: Reading::default(),
            saw_what: false,
            saw_grammar: false,
            forgot: false,
            past: false,
            present: false,
            role: None,
            run_from: 0,
            possessive: None,
            which: false,
            it_after: None,
        }
    }

    fn read(mut self) -> Reading {
        while self.at < self.words.len() {
            self.step();
        }
        self.end_possessive();
        self.settle();
        self.reading
    }

    fn step(&mut self) {
        if self.phrase() || self.request() {
            return;
        }
        let Some(word) = self.words.get(self.at).cloned() else {
            return;
        };
        self.at += 1;
        match word.kind {
            Kind::Break => {
                self.end_possessive();
                self.clause_begins = true;
                self.forget_lead();
                self.suffers = None;
            }
            Kind::Word => self.word(&word),
            Kind::Number => self.push(word.text, Class::Number, false),
            Kind::Mark => {
                let text = self.tables.canonical(&word.text);
                let class = self.tables.class(&text).unwrap_or(Class::Literal);
                self.push(text, class, false);
                // "$5" as "5 dollars".
                let next = self
                    .words
                    .get(self.at)
                    .filter(|next| class == Class::Currency && next.kind == Kind::Number);
                if let Some(amount) = next.map(|next| next.text.clone()) {
                    self.at += 1;
                    let sign = self.reading.terms.pop();
                    self.push(amount, Class::Number, false);
                    self.reading.terms.extend(sign);
                }
            }
            Kind::Code | Kind::Quote | Kind::Address => self.push(word.text, Class::Literal, false),
        }
    }

    /// "Could you" before what one asks of a writer.
    fn request(&mut self) -> bool {
        let text = |ahead: usize| self.words.get(self.at + ahead).map_or("", |word| word.text.as_str());
        let asks = self.clause_begins
            && ["can", "could", "would", "will"].contains(&text(0))
            && text(1) == "you"
            && has(REQUESTS, text(2));
        if asks {
            self.at += 2;
        }
        asks
    }

    fn phrase(&mut self) -> bool {
        let Some(first) = self.words.get(self.at).filter(|_| self.is_english) else {
            return false;
        };
        if is_name_in_capitals(first) {
            return false;
        }
        let fits = |phrase: &&super::tables::Phrase| {
            let rest = self
                .words
                .iter()
                .skip(self.at)
                .map(|word| (word.text.as_str(), word.kind));
            let matched = rest
                .zip(&phrase.words)
                .filter(|((text, kind), word)| text == *word && matches!(kind, Kind::Word | Kind::Number));
            (self.clause_begins || !phrase.only_at_clause) && matched.count() == phrase.words.len()
        };
        let Some(phrase) = self.tables.phrases(&first.text).iter().find(fits) else {
            return false;
        };
        let asks = phrase.words.first().is_some_and(|first| has(QUESTION_WORDS, first));
        if asks && !phrase.says.is_empty() {
            self.tense(self.at, phrase.words.len());
            self.suffers = None;
        }
        self.at += phrase.words.len();
        for said in phrase.says.split(' ').filter(|said| !said.is_empty()) {
            match said.strip_prefix('@') {
                Some(frame) => self.frame(frame),
                None => {
                    self.note_word(said);
                    self.term(said, false);
                }
            }
        }
        true
    }

    fn tense(&mut self, from: usize, count: usize) {
        for word in self.words.iter().skip(from).take(count) {
            let text = word.text.as_str();
            self.past |= has(PAST, text);
            self.present |= has(PRESENT, text);
            if has(PASSIVES, text) {
                self.suffers = Some(true);
            } else if has(ACTIVES, text) {
                self.suffers = Some(false);
            }
        }
    }

    fn frame(&mut self, frame: &str) {
        self.end_possessive();
        self.forget_lead();
        self.clause_begins = false;
        self.how_came_last = frame == "how";
        match frame {
            "can" => {
                self.reading.modals.insert("can");
            }
            "must" => {
                self.reading.modals.insert("must");
            }
            "what" | "which" => {
                self.saw_what = true;
                self.which = self
                    .words
                    .get(self.at)
                    .is_some_and(|next| !self.tables.is_silent(&next.text));
            }
            "want" => self.clause_begins = true,
            // "How can I", "how does one": who does it is no matter.
            "how" => {
                let text = |at: usize| self.words.get(at).map_or("", |word| word.text.as_str());
                let helps =
                    ["do", "can", "could", "should", "would", "might", "shall", "does"].contains(&text(self.at));
                let anyone = ["i", "you", "we", "one", "1", "someone", "people"].contains(&text(self.at + 1));
                if helps && anyone {
                    self.at += 2;
                }
                self.reading.frames.push(frame.to_owned());
            }
            _ => self.reading.frames.push(frame.to_owned()),
        }
    }

    fn word(&mut self, word: &Word) {
        let text = word.text.as_str();
        if text == POSSESSIVE {
            self.possessive = Some((self.run_from, self.reading.terms.len()));
            return;
        }
        let begins = std::mem::take(&mut self.clause_begins);
        if !self.is_english || is_name_in_capitals(word) {
            return self.term(text, word.capital || word.shouted);
        }
        self.tense(self.at - 1, 1);
        let modal = MODALS.iter().find(|(modal, _)| *modal == text);
        let helper = modal.map_or(text, |(_, modal)| modal);
        if begins && has(AUXILIARIES, helper) && self.reading.frames.is_empty() && !self.saw_what {
            self.reading.frames.push("whether".to_owned());
        }
        if let Some((_, modal)) = modal {
            self.saw_grammar = true;
            self.reading.modals.insert(modal);
            self.suffers = Some(false);
            self.break_run();
        } else if self.tables.is_silent(text) && !self.owns(text) {
            self.grammar(text);
        } else {
            self.note_word(text);
            self.term(text, word.capital);
        }
    }

    /// "Have" that helps no verb says that something is owned.
    fn owns(&self, text: &str) -> bool {
        let participle = |word: &Word| {
            let text = word.text.as_str();
            ["been", "got", "not", "done", "gone"].contains(&text) || text.ends_with("ed") || text.ends_with("en")
        };
        // "Have I paid", "has not paid": the verb stands a little further on.
        let helps = self.words.iter().skip(self.at).take(3).any(participle);
        ["have", "has", "had", "having"].contains(&text) && !helps
    }

    /// A word that leaves no term, and what it says of those around it.
    fn grammar(&mut self, text: &str) {
        self.saw_grammar |= !["in", "on", "of", "for", "at"].contains(&text);
        if let Some((_, person)) = PERSONS.iter().find(|(word, _)| *word == text)
            && self.reading.persons.last() != Some(person)
        {
            self.reading.persons.push(*person);
        }
        if text == "it" {
            self.it_after = Some(self.reading.terms.len());
        }
        let is = ["is", "are", "was", "were"].contains(&text);
        if is && self.which && self.reading.terms.len() == 1 {
            self.reading.terms.iter_mut().for_each(|term| term.optional = true);
        }
        if !["a", "an", "the", "my", "your", "our", "this"].contains(&text) {
            self.role = ROLES.iter().find(|(word, _)| *word == text).map(|(_, role)| *role);
            self.led = ["of", "in", "for", "at"].contains(&text);
            self.formed = ["in", "as", "into", "to", "with"].contains(&text);
        }
        self.break_run();
    }

    fn forget_lead(&mut self) {
        self.role = None;
        self.led = false;
        self.formed = false;
    }

    fn note_word(&mut self, text: &str) {
        self.forgot |= ["forgot", "lost"].contains(&text) && self.reading.terms.is_empty();
    }

    fn term(&mut self, word: &str, capital: bool) {
        let gerund = || self.tables.done(word, &self.is_known).filter(|_| self.how_came_last);
        let verb = self.tables.verb(word, &self.is_known).filter(|_| self.is_english);
        let is_past = verb.is_some();
        let base = verb.or_else(gerund);
        let canonical = self.tables.canonical(word);
        let class_as_written = self.tables.class(&canonical).or_else(|| self.tables.class(word));
        let text = base.map_or(canonical, |base| self.tables.canonical(&base));
        let class = class_as_written.or_else(|| self.tables.class(&text));
        let class = class.unwrap_or(if capital { Class::Name } else { Class::Word });
        self.how_came_last = false;
        // "A used car", "of fixed rates": what follows an article or a preposition is no verb.
        let article = self
            .at
            .checked_sub(2)
            .and_then(|at| self.words.get(at))
            .map_or("", |before| before.text.as_str());
        let suffers = self
            .suffers
            .filter(|_| !["a", "an", "the", "my", "your", "our", "of", "in", "for", "with"].contains(&article));
        self.push(text, class, capital);
        if is_past || has(PARTICIPLES, word) {
            // "Who called?" is of the past as "who did call?" is.
            self.past |= suffers.is_none() && is_past;
            if let Some(last) = self.reading.terms.last_mut() {
                last.suffered = suffers;
            }
        }
    }

    fn push(&mut self, text: String, class: Class, capital: bool) {
        self.clause_begins = false;
        let formed = self.formed || has(MANNERS, text.as_str());
        let term = Term {
            text,
            class,
            role: self.role,
            optional: false,
            led: self.led,
            suffered: None,
        };
        // A number stands between what leads to a form and the form.
        if class != Class::Number {
            self.forget_lead();
        }
        match class {
            Class::Date => self.dates_with_their_numbers(term),
            Class::Format if formed => {
                // "In six sentences": the number belongs to the form.
                let number = self.reading.terms.pop_if(|last| last.class == Class::Number);
                self.reading.shape.extend(number);
                self.reading.shape.push(term);
            }
            Class::Ask => self.reading.shape.push(term),
            Class::Number if self.after_date() => self.reading.dates.push(term),
            _ => {
                // A run of capitals is one name; any other word begins anew.
                let continues = capital && self.reading.terms.last().is_some_and(|last| last.class == Class::Name);
                if !continues {
                    self.run_from = self.reading.terms.len();
                }
                self.reading.terms.push(term);
            }
        }
    }

    /// "20 March 1999": the day before and the year after are part of the date.
    fn dates_with_their_numbers(&mut self, term: Term) {
        let adjacent = self.at >= 2
            && self
                .words
                .get(self.at - 2)
                .is_some_and(|before| before.kind == Kind::Number);
        let day = self
            .reading
            .terms
            .pop_if(|last| adjacent && last.class == Class::Number);
        self.reading.dates.push(term);
        self.reading.dates.extend(day);
    }

    fn after_date(&self) -> bool {
        let before = self.at.checked_sub(2).and_then(|at| self.words.get(at));
        let before = match before {
            Some(word) if word.kind == Kind::Break || word.kind == Kind::Number => {
                self.at.checked_sub(3).and_then(|at| self.words.get(at))
            }
            other => other,
        };
        before.is_some_and(|word| self.tables.class(&self.tables.canonical(&word.text)) == Some(Class::Date))
    }

    /// A word that says nothing ends a run of terms that belong together.
    fn break_run(&mut self) {
        self.end_possessive();
        self.run_from = self.reading.terms.len();
    }

    /// "France's capital" as "capital of France".
    fn end_possessive(&mut self) {
        if let Some((from, mark)) = self.possessive.take()
            && let Some(run) = self.reading.terms.get_mut(from..)
            && mark >= from
        {
            run.rotate_left((mark - from).min(run.len()));
        }
    }

    /// What can be said only of the whole.
    fn settle(&mut self) {
        let reading = &mut self.reading;
        reading.past = (self.past || self.present).then_some(self.past);
        reading.telegraphic = !self.saw_grammar;
        let asked_it = self.forgot && reading.frames == ["how"] && self.it_after == Some(reading.terms.len());
        if asked_it && reading.terms.len() > 2 {
            // "I forgot my X, how can I reset it?" asks how to reset X.
            reading.terms.remove(0);
            reading.terms.rotate_right(1);
        }
        self.saw_what |= reading.asks_what();
        reading.superlative_first();
        reading.conversion();
        reading.leave_out_what_is_understood();
        if reading.frames.is_empty() {
            reading
                .frames
                .push(if self.saw_what { "what" } else { "bare" }.to_owned());
        }
        if reading
            .frames
            .first()
            .is_some_and(|frame| frame == "who" || frame == "what")
            && let Some(verb) = reading.terms.first_mut()
        {
            // "Who called?": a verb that nothing helps is done.
            verb.suffered = verb.suffered.or(Some(false));
        }
    }
}

impl Reading {
    fn has(&self, text: &str) -> bool {
        self.terms.iter().chain(&self.shape).any(|term| term.text == text)
    }

    /// Whether it asks what, in the words of another question: why something is a good thing, how much it costs, how the
    /// weather is, how two things differ. That other kind is then forgotten.
    fn asks_what(&mut self) -> bool {
        let number = self.terms.iter().any(|term| term.class == Class::Number);
        let asks = match self.frames.first().map_or("", String::as_str) {
            "why" => self.has("benefit") || self.has("drawback"),
            "how" => self.has("weather") || self.has("difference"),
            "howmuch" => self.has("price") || number,
            _ => false,
        };
        if asks {
            self.frames.remove(0);
            // "How much does X cost" as "the price of X".
            if let Some(at) = self.terms.iter().position(|term| term.text == "price") {
                let price = self.terms.remove(at);
                self.terms.insert(0, price);
            }
        }
        asks
    }

    /// Words that say nothing beside certain others.
    fn leave_out_what_is_understood(&mut self) {
        let understood: &[&str] = match () {
            () if self.has("distance") => &["from", "between"],
            () if self.has("difference") => &["between"],
            () if self.has("weather") => &["like", "expect"],
            () if self.has("simply") => &["describe"],
            () => return,
        };
        self.terms.retain(|term| !understood.contains(&term.text.as_str()));
        if self.has("weather") {
            self.modals.clear();
            self.past = None;
        }
    }

    /// "Which river is the longest" as "the longest river".
    fn superlative_first(&mut self) {
        if let [kind, superlative, ..] = &mut self.terms[..]
            && kind.optional
            && superlative.class == Class::Comparison
        {
            kind.optional = false;
            std::mem::swap(kind, superlative);
        }
    }

    /// "Convert 5 miles to kilometres" and "how many kilometres are 5 miles" as "what is 5 miles in kilometres".
    fn conversion(&mut self) {
        let measures = |term: &Term| matches!(term.class, Class::Unit | Class::Currency);
        let shape = |terms: &[Term]| matches!(terms, [amount, from, to] if amount.class == Class::Number && measures(from) && measures(to));
        if self.frames.is_empty()
            && self.terms.first().is_some_and(|first| first.text == "convert")
            && shape(&self.terms[1..])
        {
            self.terms.remove(0);
            self.terms.iter_mut().for_each(|term| term.role = None);
        }
        if self.frames == ["howmany"] && self.terms.len() == 3 {
            self.terms.rotate_left(1);
            if shape(&self.terms) {
                self.frames.clear();
            } else {
                self.terms.rotate_right(1);
            }
        }
    }
}

/// "US", "IT", "WHO", and "A" beside "B": no pronoun, no question and no article.
fn is_name_in_capitals(word: &Word) -> bool {
    (word.capital && word.text == "a") || word.shouted && has(NAMES_IN_CAPITALS, word.text.as_str())
}
