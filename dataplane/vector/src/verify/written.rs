//! How two prompts are written, where that is what is said: signs, the case of symbols and names, single letters, and prompts
//! that speak of words themselves. Reading takes all of it away, so it is looked at beside. Knows no meaning.

use std::collections::BTreeMap;

use super::Difference;
use super::words::has;

/// Prompts with one of these speak of how something is written or said: no other wording is the same.
const OF_WORDS: &str = "spell spells spelled spelt spelling misspell misspelled misspelt typo typos letters character characters \
     syllable syllables vowel vowels consonant consonants punctuation punctuate punctuated comma commas apostrophe apostrophes \
     hyphen hyphens grammar grammatical grammatically capitalize capitalise capitalized capitalised capitalization lowercase \
     uppercase pronounce pronounced pronunciation rhymes anagram anagrams palindrome proofread proofreading rephrase paraphrase \
     etymology acronym abbreviation phrase";
/// With a text behind a colon, these do something to its wording.
const OF_TEXTS: &str =
    "correct fix check edit rewrite reword improve polish translate repeat reverse count sort say read type shorten";
/// What is said in another language is quoted, or nothing tells where it begins.
const OF_SPEECH: &str = "translate translation say says saying said";
/// Capitals make another word of these.
const HOMOGRAPHS: &str = "polish turkey china march may august job reading nice who will mark bill rose amber apple word excel access \
     swift rust go java python ruby amazon shell target gap orange jordan chad lima hamburg cologne mobile bath cork swiss latin \
     catholic orthodox republican democratic green labour labor windows office teams";
/// Words of one or two letters that are no symbols.
const SHORT: &str = "a i an as at be by do go he if in is it me my no of on or so to up us we am hi ok ty u";
/// What units are shortened to, and what they may be written as beside small letters.
const UNITS: &str = "mg mm ml cm km kg g l lb oz kb mb gb tb ft mi min hr sec";
const UNITS_IN_CAPITALS: &str = "kB KB MB GB TB L KG KM";
/// Letters that are left of a contraction.
const LEFT: &str = "i s t m d u";
/// After these a single "a" is no article.
const BEHIND_A_LETTER: &str =
    "to of in and or for from with by is are as on at than plus minus times equals into if then";
const POLITE: &str = "please kindly plz pls thanks thank thx cheers sorry hello hi hey";
/// What may stand before a word of politeness where a request begins, and behind one where it ends.
const BEFORE_POLITE: &str =
    "could can would will you u hi hello hey there dear many so and ok okay well yes also please";
const BEHIND_POLITE: &str = "very much so a lot in advance you for your help again and";
const OF_MEANING: &str =
    "mean means meaning define definition synonym synonyms antonym antonyms word polite politeness";
/// Of words that are no politeness, where politeness is left out.
const LEAST_WORDS: usize = 3;
/// More words of politeness are something else.
const MOST_POLITE: usize = 8;
/// Ways to write one word that are looked at.
const MOST_FORMS: usize = 8;

/// Whether both are written alike in what no reading tells.
pub fn alike(before: &str, now: &str) -> Result<(), Difference> {
    let (one, other) = (Written::of(before), Written::of(now));
    if one.is_of_words() || other.is_of_words() {
        return Err(Difference::Wording);
    }
    if one.signs != other.signs || one.letters() != other.letters() {
        return Err(Difference::Literal);
    }
    if one.odd_units() != other.odd_units() {
        return Err(Difference::Unit);
    }
    if !one.has_case_of(&other) || !other.has_case_of(&one) {
        return Err(Difference::Name);
    }
    match one.polite() == other.polite() || (one.is_polite_around() && other.is_polite_around()) {
        true => Ok(()),
        false => Err(Difference::Wording),
    }
}

struct Written<'a> {
    text: &'a str,
    words: Vec<Token<'a>>,
    /// Those that reading takes for nothing.
    signs: String,
}

struct Token<'a> {
    text: &'a str,
    lower: String,
    /// A sentence begins with it: its first letter says nothing.
    begins: bool,
    /// Punctuation or an end stands there.
    after_mark: bool,
    before_mark: bool,
}

impl<'a> Written<'a> {
    fn of(text: &'a str) -> Self {
        Self {
            text,
            words: tokens(text),
            signs: signs(text),
        }
    }

    fn has_any(&self, list: &str) -> bool {
        self.words.iter().any(|word| has(list, &word.lower))
    }

    fn is_of_words(&self) -> bool {
        let is_quoted = self.text.contains(['"', '“', '«', '„', '「', '`', '‘']);
        let after_article = |wanted: &str| {
            let mut pairs = self.words.iter().zip(self.words.iter().skip(1));
            pairs.any(|(article, word)| ["the", "many"].contains(&&*article.lower) && word.lower == wanted)
        };
        self.has_any(OF_WORDS)
            || (self.text.contains(':') && self.has_any(OF_TEXTS))
            || (!is_quoted && self.has_any(OF_SPEECH))
            || ["word", "words", "letter"].into_iter().any(after_article)
    }

    /// Single letters, in order; "a" where it is no article.
    fn letters(&self) -> Vec<&str> {
        let is_symbol = |at: usize, word: &Token<'_>| {
            let next = self.words.get(at + 1).map_or("", |next| &next.lower);
            let ends = word.before_mark || next.chars().count() == 1 || has(BEHIND_A_LETTER, next);
            word.lower != "a" || ends
        };
        let single = self
            .words
            .iter()
            .enumerate()
            .filter(|(_, word)| word.lower.len() == 1 && !has(LEFT, &word.lower));
        let letters = single.filter(|(at, word)| is_symbol(*at, word) && word.lower.chars().all(char::is_alphabetic));
        letters
            .map(|(_, word)| &*word.lower)
            .filter(|letter| !has(UNITS, letter))
            .collect()
    }

    /// "Mg" is no "mg", and no milligram.
    fn odd_units(&self) -> Vec<&str> {
        let units: Vec<_> = self.words.iter().filter(|word| has(UNITS, &word.lower)).collect();
        let is_odd = |word: &&Token<'_>| word.text != word.lower && !has(UNITS_IN_CAPITALS, word.text);
        match units.iter().any(is_odd) {
            true => units.iter().map(|word| word.text).collect(),
            false => Vec::new(),
        }
    }

    /// A text without capitals but where sentences begin.
    fn is_small(&self) -> bool {
        self.words.iter().all(|word| {
            let mut letters = word.text.chars().skip(usize::from(word.begins || word.text == "I"));
            !letters.any(char::is_uppercase)
        })
    }

    /// Each word of both is written here in a way that it is written there.
    fn has_case_of(&self, other: &Self) -> bool {
        let mut theirs: BTreeMap<&str, Vec<&Token<'_>>> = BTreeMap::new();
        for word in &other.words {
            let forms = theirs.entry(&word.lower).or_default();
            if forms.len() < MOST_FORMS
                && forms
                    .iter()
                    .all(|form| (form.text, form.begins) != (word.text, word.begins))
            {
                forms.push(word);
            }
        }
        let (small, other_small) = (self.is_small(), other.is_small());
        self.words.iter().all(|word| {
            let Some(forms) = theirs.get(&*word.lower) else {
                return true;
            };
            forms.iter().any(|form| word.is_written_as(form, small || other_small))
        })
    }

    fn polite(&self) -> Vec<&str> {
        let polite = self.words.iter().filter(|word| has(POLITE, &word.lower));
        polite.map(|word| &*word.lower).collect()
    }

    /// All politeness stands where a request begins or ends, and there is a request.
    fn is_polite_around(&self) -> bool {
        let polite = self.polite().len();
        let is_around = |at: usize, word: &Token<'_>| {
            let leads = self.words.iter().take(at).all(|word| has(BEFORE_POLITE, &word.lower));
            let trails = self
                .words
                .iter()
                .skip(at + 1)
                .all(|word| has(BEHIND_POLITE, &word.lower) || has(POLITE, &word.lower));
            // A clause of its own, or the beginning of one.
            leads || trails || word.after_mark
        };
        let mut words = self.words.iter().enumerate();
        polite == 0
            || (polite <= MOST_POLITE
                && self.words.len() >= polite + LEAST_WORDS
                && !self.has_any(OF_MEANING)
                && words.all(|(at, word)| !has(POLITE, &word.lower) || is_around(at, word)))
    }
}

impl Token<'_> {
    fn is_written_as(&self, other: &Self, is_one_small: bool) -> bool {
        if self.text == other.text || self.lower == "i" {
            return true;
        }
        let (rest, other_rest) = (behind_first(self.text), behind_first(other.text));
        let is_symbol = self.lower.chars().count() <= 2 && !has(SHORT, &self.lower);
        let is_first_only = rest == other_rest && !rest.chars().any(char::is_uppercase);
        let is_beginning = self.begins || other.begins;
        let is_name = has(HOMOGRAPHS, &self.lower);
        is_first_only && !is_symbol && (is_beginning || (is_one_small && !is_name))
    }
}

fn behind_first(text: &str) -> &str {
    let mut letters = text.chars();
    letters.next();
    letters.as_str()
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut words: Vec<Token<'_>> = Vec::new();
    let (mut start, mut begins, mut after_mark) = (None, true, true);
    for (at, letter) in text.char_indices().chain([(text.len(), '\n')]) {
        // "E-mail" is one word.
        let mut around = text.get(at..).unwrap_or_default().chars().skip(1);
        let joins = letter == '-' && start.is_some() && around.next().is_some_and(char::is_alphabetic);
        match (start, letter.is_alphanumeric() || joins) {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                let word = text.get(from..at).unwrap_or_default();
                words.push(Token {
                    text: word,
                    lower: word.to_lowercase(),
                    begins,
                    after_mark,
                    before_mark: false,
                });
                (start, begins, after_mark) = (None, false, false);
            }
            _ => {}
        }
        if matches!(letter, '.' | '!' | '?' | ';' | ':' | ',' | '\n') {
            begins |= letter != ',';
            after_mark = true;
            if let Some(last) = words.last_mut() {
                last.before_mark = true;
            }
        }
    }
    words
}

/// In order, each with what stands around it: what reading leaves out and may be meant, which is brackets, dashes, and dots and
/// other punctuation where no sentence ends.
fn signs(text: &str) -> String {
    let mut found = String::new();
    let mut letters = text.chars().peekable();
    let (mut before, mut last) = (' ', ' ');
    while let Some(letter) = letters.next() {
        let behind = letters.peek().copied().unwrap_or(' ');
        let is_end = behind.is_whitespace() || "\"'”’»!?.)".contains(behind);
        let is_meant = match letter {
            '(' | ')' | '[' | ']' | '{' | '}' | '–' | '—' | '…' => true,
            '-' => !(before.is_alphabetic() && behind.is_alphabetic()),
            '!' => !is_end || before.is_ascii_digit() || before.is_whitespace(),
            '.' | '?' | ';' => !is_end || before.is_whitespace(),
            ',' | ':' => before.is_whitespace(),
            '\'' | '"' | '`' => before.is_whitespace() && behind.is_whitespace(),
            _ => false,
        };
        if is_meant {
            let next = letters.clone().find(|letter| !letter.is_whitespace()).unwrap_or(' ');
            found.extend([last, letter, next].into_iter().flat_map(char::to_lowercase));
        }
        before = letter;
        if !letter.is_whitespace() {
            last = letter;
        }
    }
    found
}
