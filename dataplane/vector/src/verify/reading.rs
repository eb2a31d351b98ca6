//! A prompt as it is compared: what kind of question it is, and its terms in order, politeness and wording taken away.
//! Knows one prompt at a time.

use super::lex::Kind;
use super::marks::{self, Marks};
use super::spelled::{POSSESSIVE, Word};
use super::tables::{Named, Tables, modal_bit};
use super::turns::Says;
use super::words::Class;

/// A prompt, read.
#[derive(Debug, Default)]
pub struct Reading<'a> {
    /// Kinds of question, in order; "what" is the one that is left when there is no other.
    pub frames: Vec<&'static str>,
    /// Only words that are no grammar: what one types into a search box.
    pub telegraphic: bool,
    pub past: Option<bool>,
    /// A bit for each.
    pub modals: u8,
    /// Who asks (1) and who is asked (2), in the order they are spoken of.
    pub persons: Vec<u8>,
    /// Terms whose order is part of what is said.
    pub terms: Vec<Term<'a>>,
    /// Dates, and forms of the answer: they may stand anywhere, each kind in its own order.
    pub dates: Vec<Term<'a>>,
    pub shape: Vec<Term<'a>>,
}

#[derive(Clone, Debug)]
pub struct Term<'a> {
    pub name: Named<'a>,
    pub class: Class,
    /// Zero is none.
    pub role: u8,
    /// The kind of thing that "which" asks for: "which city is" asks as "what is" does.
    pub optional: bool,
    /// A preposition of place or belonging stands before it.
    pub led: bool,
    /// The verb is suffered ("was called") and not done ("has called").
    pub suffered: bool,
}

impl Term<'_> {
    fn is(&self, text: &str) -> bool {
        self.name.text == text
    }
}

/// Reads spelled words; without `is_english` none is taken for grammar.
pub fn read<'a>(
    words: &'a [Word<'a>],
    tables: &'a Tables,
    is_known: &'a dyn Fn(&str) -> bool,
    is_english: bool,
) -> Reading<'a> {
    Reader::new(tables, is_known, words, is_english).read()
}

struct Reader<'a> {
    tables: &'a Tables,
    is_known: &'a dyn Fn(&str) -> bool,
    is_english: bool,
    words: &'a [Word<'a>],
    at: usize,
    clause_begins: bool,
    reading: Reading<'a>,
    /// The lists that its terms are in, were there ever.
    seen: Marks,
    saw_what: bool,
    saw_grammar: bool,
    forgot: bool,
    past: bool,
    present: bool,
    role: u8,
    /// The last preposition was one of place or belonging.
    led: bool,
    /// A preposition that leads to the form of the answer came last.
    formed: bool,
    /// Whether the clause's last helping verb makes what follows suffered or done.
    suffers: Option<bool>,
    /// "How to" came last: a gerund is what is done.
    how_came_last: bool,
    /// What "I want to" or "I have to" makes of the question, if it asks for anything but how.
    wants: Option<&'static str>,
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
    fn new(tables: &'a Tables, is_known: &'a dyn Fn(&str) -> bool, words: &'a [Word<'a>], is_english: bool) -> Self {
        Self {
            tables,
            is_known,
            is_english,
            led: false,
            formed: false,
            suffers: None,
            how_came_last: false,
            wants: None,
            words,
            at: 0,
            clause_begins: true,
            reading: Reading {
                terms: Vec::with_capacity(words.len()),
                ..Reading::default()
            },
            seen: Marks::default(),
            saw_what: false,
            saw_grammar: false,
            forgot: false,
            past: false,
            present: false,
            role: 0,
            run_from: 0,
            possessive: None,
            which: false,
            it_after: None,
        }
    }

    fn read(mut self) -> Reading<'a> {
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
        let Some(word) = self.words.get(self.at) else {
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
            Kind::Word => self.word(word),
            Kind::Number => self.push(word.name.clone(), Class::Number, false),
            Kind::Mark => self.mark(word),
            Kind::Code | Kind::Quote | Kind::Address => self.push(word.name.clone(), Class::Literal, false),
        }
    }

    fn mark(&mut self, mark: &'a Word<'a>) {
        let name = self.tables.canonical(&mark.name);
        let class = self.tables.class(name.id).unwrap_or(Class::Literal);
        self.push(name, class, false);
        // "$5" as "5 dollars".
        let next = self.words.get(self.at);
        if let Some(amount) = next.filter(|next| class == Class::Currency && next.kind == Kind::Number) {
            self.at += 1;
            let sign = self.reading.terms.pop();
            self.push(amount.name.clone(), Class::Number, false);
            self.reading.terms.extend(sign);
        }
    }

    /// "Could you" before what one asks of a writer.
    fn request(&mut self) -> bool {
        let is = |ahead: usize, list: Marks| self.words.get(self.at + ahead).is_some_and(|word| word.is(list));
        let is_you = || self.words.get(self.at + 1).is_some_and(|word| word.text() == "you");
        let asks = self.clause_begins && is(0, marks::ASKS_OF_YOU) && is_you() && is(2, marks::IS_REQUEST);
        if asks {
            self.at += 2;
        }
        asks
    }

    fn phrase(&mut self) -> bool {
        let words = self.words.get(self.at..).unwrap_or_default();
        if !self.is_english || words.first().is_none_or(is_name_in_capitals) {
            return false;
        }
        let plain = words
            .iter()
            .take_while(|word| matches!(word.kind, Kind::Word | Kind::Number));
        let tables = self.tables;
        let Some(turn) = tables.turn(self.clause_begins, plain.map(|word| word.name.id)) else {
            return false;
        };
        if turn.asks && !turn.says.is_empty() {
            self.tense(self.at, turn.words);
            self.suffers = None;
        }
        self.at += turn.words;
        for said in &turn.says {
            match said {
                Says::Frame(frame) => self.frame(frame),
                Says::Term(word) => {
                    let word = tables.by_id(*word);
                    self.note_word(&word);
                    self.term(word, false);
                }
            }
        }
        true
    }

    fn tense(&mut self, from: usize, count: usize) {
        for word in self.words.iter().skip(from).take(count) {
            self.past |= word.is(marks::IS_PAST);
            self.present |= word.is(marks::IS_PRESENT);
            if word.is(marks::IS_PASSIVE) {
                self.suffers = Some(true);
            } else if word.is(marks::IS_ACTIVE) {
                self.suffers = Some(false);
            }
        }
    }

    fn frame(&mut self, frame: &'static str) {
        self.end_possessive();
        self.forget_lead();
        self.clause_begins = false;
        self.how_came_last = frame == "how";
        match frame {
            "can" | "must" => self.reading.modals |= modal_bit(frame),
            "what" | "which" => {
                self.saw_what = true;
                self.which = self.words.get(self.at).is_some_and(|next| !next.is(marks::IS_SILENT));
            }
            "want" | "need" => {
                self.clause_begins = true;
                self.wants = Some(frame);
            }
            // "How can I", "how does one": who does it is no matter.
            "how" => {
                let is = |at: usize, list: Marks| self.words.get(at).is_some_and(|word| word.is(list));
                if is(self.at, marks::HELPS_HOW) && is(self.at + 1, marks::IS_ANYONE) {
                    let who = self.words.get(self.at + 1).map(|who| who.name.id);
                    self.person(who.map_or(0, |who| self.tables.facts(who).person));
                    self.at += 2;
                }
                self.reading.frames.push(frame);
            }
            _ => self.reading.frames.push(frame),
        }
    }

    fn word(&mut self, word: &'a Word<'a>) {
        if word.text() == POSSESSIVE {
            self.possessive = Some((self.run_from, self.reading.terms.len()));
            return;
        }
        let begins = std::mem::take(&mut self.clause_begins);
        if !self.is_english || is_name_in_capitals(word) {
            return self.term(word.name.clone(), word.capital || word.shouted);
        }
        self.tense(self.at - 1, 1);
        if begins && word.is(marks::BEGINS_WHETHER) && self.reading.frames.is_empty() && !self.saw_what {
            self.reading.frames.push("whether");
        }
        let modal = self.tables.facts(word.name.id).modal;
        if modal != 0 {
            self.saw_grammar = true;
            self.reading.modals |= modal;
            self.suffers = Some(false);
            self.break_run();
        } else if word.is(marks::IS_SILENT) && !self.owns(word) {
            self.grammar(word);
        } else {
            self.note_word(&word.name);
            self.term(word.name.clone(), word.capital);
        }
    }

    /// "Have" and "get" that help no verb say that something is owned, or will be.
    fn owns(&self, word: &Word<'_>) -> bool {
        let participle = |word: &Word<'_>| {
            let text = word.text();
            word.is(marks::IS_HELPED) || text.ends_with("ed") || text.ends_with("en")
        };
        // "Have I paid", "has not paid": the verb stands a little further on.
        let reach = if word.is(marks::GET) { 2 } else { 3 };
        let helps = || self.words.iter().skip(self.at).take(reach).any(participle);
        word.is(marks::HAVE.and(marks::GET)) && !helps()
    }

    /// A word that leaves no term, and what it says of those around it.
    fn grammar(&mut self, word: &Word<'_>) {
        self.saw_grammar |= !word.is(marks::IS_SLIGHT);
        let facts = self.tables.facts(word.name.id);
        self.person(facts.person);
        if word.text() == "it" {
            self.it_after = Some(self.reading.terms.len());
        }
        if word.is(marks::BE) && self.which && self.reading.terms.len() == 1 {
            self.reading.terms.iter_mut().for_each(|term| term.optional = true);
        }
        if !word.is(marks::IS_ARTICLE) {
            self.role = facts.role;
            self.led = word.is(marks::LEADS);
            self.formed = word.is(marks::FORMS);
        }
        self.break_run();
    }

    fn person(&mut self, person: u8) {
        if person != 0 && self.reading.persons.last() != Some(&person) {
            self.reading.persons.push(person);
        }
    }

    fn forget_lead(&mut self) {
        self.role = 0;
        self.led = false;
        self.formed = false;
    }

    fn note_word(&mut self, word: &Named<'_>) {
        let is_lost = self.tables.facts(word.id).marks.has(marks::IS_LOST);
        self.forgot |= is_lost && self.reading.terms.is_empty();
    }

    fn term(&mut self, word: Named<'a>, capital: bool) {
        let tables = self.tables;
        let verb = self.is_english.then(|| tables.verb(&word, self.is_known)).flatten();
        let is_past = verb.is_some();
        let gerund = || tables.done(&word, self.is_known);
        let base = verb.or_else(|| self.how_came_last.then(gerund).flatten());
        let canonical = match self.keeps_plural(&word) {
            true => word.clone(),
            false => tables.canonical(&word),
        };
        let class_as_written = tables.class(canonical.id).or_else(|| tables.class(word.id));
        let name = match base {
            Some(base) => tables.canonical(&base),
            None => canonical,
        };
        let class = class_as_written.or_else(|| tables.class(name.id));
        let class = class.unwrap_or(if capital { Class::Name } else { Class::Word });
        self.how_came_last = false;
        let before = self.at.checked_sub(2).and_then(|at| self.words.get(at));
        let is_noun = before.is_some_and(|before| before.is(marks::BEFORE_NOUN));
        let suffers = self.suffers.filter(|_| !is_noun);
        // "Who called?" is of the past as "who did call?" is, and a word with that ending where the verb is known to nobody.
        let ends_so = || class == Class::Word && word.text.strip_suffix("ed").is_some_and(|stem| !stem.ends_with('e'));
        self.past |= self.is_english && !is_noun && suffers != Some(true) && (is_past || ends_so());
        self.push(name, class, capital);
        if (is_past || word.text.ends_with("ed") || tables.facts(word.id).marks.has(marks::IS_PARTICIPLE))
            && let Some(last) = self.reading.terms.last_mut()
        {
            last.suffered = suffers == Some(true);
        }
    }

    /// "AIDS" is no more than one "AID", and "the minutes" are not some.
    fn keeps_plural(&self, word: &Named<'_>) -> bool {
        let behind = |at: usize| self.at.checked_sub(at).and_then(|at| self.words.get(at));
        let leads = |before: &Word<'_>| before.is(marks::IS_ARTICLE.and(marks::BE));
        word.text.ends_with('s')
            && behind(1).is_some_and(|written| {
                let is_led = || written.is(marks::IS_OWN_PLURAL) && behind(2).is_some_and(leads);
                written.name.hash == word.hash && (written.shouted || is_led())
            })
    }

    fn push(&mut self, name: Named<'a>, class: Class, capital: bool) {
        self.clause_begins = false;
        let lists = self.tables.facts(name.id).marks;
        self.seen.add(lists);
        let formed = self.formed || lists.has(marks::IS_MANNER);
        let term = Term {
            name,
            class,
            role: self.role,
            optional: false,
            led: self.led,
            suffered: false,
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
    fn dates_with_their_numbers(&mut self, term: Term<'a>) {
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
        before.is_some_and(|word| self.tables.class(self.tables.canonical(&word.name).id) == Some(Class::Date))
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
            reading.past = None;
        }
        let settles = self.seen.has(marks::SETTLES);
        self.saw_what |= reading.asks_what(settles);
        reading.superlative_first();
        // "What colour is it?" is not what it is.
        let tables = self.tables;
        let is_kind = |term: &Term<'_>| tables.facts(term.name.id).marks.has(marks::IS_KIND);
        reading.terms.iter_mut().for_each(|term| term.optional &= is_kind(term));
        reading.conversion();
        if settles {
            reading.leave_out_what_is_understood();
        }
        // "I want to reset it, how?" asks how to; "why do I have to" and "why do I want to" do not ask why I do.
        let wants = self
            .wants
            .filter(|_| !reading.frames.is_empty() && reading.frames != ["how"]);
        reading.frames.extend(wants);
        if reading.frames.is_empty() {
            reading.frames.push(if self.saw_what { "what" } else { "bare" });
        }
    }
}

impl Reading<'_> {
    fn has(&self, text: &str) -> bool {
        self.terms.iter().chain(&self.shape).any(|term| term.is(text))
    }

    /// Whether it asks what, in the words of another question: why something is a good thing, how much it costs, how the
    /// weather is, how two things differ. That other kind is then forgotten.
    /// `settles`: there may be terms that say so.
    fn asks_what(&mut self, settles: bool) -> bool {
        let number = || self.terms.iter().any(|term| term.class == Class::Number);
        let asks = match self.frames.first().copied().unwrap_or("") {
            "why" => settles && (self.has("benefit") || self.has("drawback")),
            "how" => settles && (self.has("weather") || self.has("difference")),
            "howmuch" => (settles && self.has("price")) || number(),
            _ => false,
        };
        if asks {
            self.frames.remove(0);
            // "How much does X cost" as "the price of X".
            if let Some(at) = self.terms.iter().position(|term| term.is("price")) {
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
        self.terms.retain(|term| !understood.contains(&&*term.name.text));
        if self.has("weather") {
            self.modals = 0;
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
        let measures = |term: &Term<'_>| matches!(term.class, Class::Unit | Class::Currency);
        let shape = |terms: &[Term<'_>]| matches!(terms, [amount, from, to] if amount.class == Class::Number && measures(from) && measures(to));
        if self.frames.is_empty()
            && self.terms.first().is_some_and(|first| first.is("convert"))
            && shape(&self.terms[1..])
        {
            self.terms.remove(0);
            self.terms.iter_mut().for_each(|term| term.role = 0);
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

/// "US", "IT", "WHO", "A" beside "B", and "Really" in a title: no pronoun, no question, no article and no filler.
fn is_name_in_capitals(word: &Word<'_>) -> bool {
    (word.capital && (word.text() == "a" || word.is(marks::IS_FILLER))) || (word.shouted && word.is(marks::MAY_BE_NAME))
}
