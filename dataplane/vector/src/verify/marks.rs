//! Which lists a word is in, as bits: a word is looked up once, and asked of any list after that. Facts about words and
//! nothing else.

use super::words::{
    ACTIVES, ENGLISH, IS_AFTER, MANNERS, NAMES_IN_CAPITALS, NO_PLURALS, PARTICIPLES, PASSIVES, PAST, PRESENT,
    QUESTION_WORDS, REQUESTS, SILENT,
};

/// Lists, or those that a word is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(u64);

impl Marks {
    const fn list(number: u32) -> Self {
        Self(1 << number)
    }

    /// Whether the word is in the list, or in one of the lists.
    pub const fn has(self, list: Self) -> bool {
        self.0 & list.0 != 0
    }

    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// It is a word of the tables: no slip, and what one may have been meant to be.
pub const WORD: Marks = Marks::list(0);
pub const IS_ENGLISH: Marks = Marks::list(1);
pub const IS_REQUEST: Marks = Marks::list(2);
pub const IS_SILENT: Marks = Marks::list(3);
pub const TAKES_IS: Marks = Marks::list(4);
pub const IS_QUESTION: Marks = Marks::list(5);
pub const IS_MANNER: Marks = Marks::list(6);
pub const IS_PASSIVE: Marks = Marks::list(7);
pub const IS_ACTIVE: Marks = Marks::list(8);
pub const IS_PARTICIPLE: Marks = Marks::list(9);
pub const IS_PAST: Marks = Marks::list(10);
pub const IS_PRESENT: Marks = Marks::list(11);
pub const MAY_BE_NAME: Marks = Marks::list(12);
pub const HAS_NO_PLURAL: Marks = Marks::list(13);
/// What begins a question that is answered yes or no: `AUXILIARIES`, and what stands for them.
pub const BEGINS_WHETHER: Marks = Marks::list(14);
/// A word of `SAME`.
pub const HAS_SAME: Marks = Marks::list(15);
/// Grammar that a search box has as well.
pub const IS_SLIGHT: Marks = Marks::list(16);
pub const IS_ARTICLE: Marks = Marks::list(17);
pub const LEADS: Marks = Marks::list(18);
pub const FORMS: Marks = Marks::list(19);
pub const BE: Marks = Marks::list(20);
pub const HAVE: Marks = Marks::list(21);
pub const IS_HELPED: Marks = Marks::list(22);
pub const BEFORE_NOUN: Marks = Marks::list(23);
pub const ASKS_OF_YOU: Marks = Marks::list(24);
pub const HELPS_HOW: Marks = Marks::list(25);
pub const IS_ANYONE: Marks = Marks::list(26);
pub const IS_LOST: Marks = Marks::list(27);
pub const HAS_PARTICLE: Marks = Marks::list(28);
pub const IS_PARTICLE: Marks = Marks::list(29);
/// Terms that change what is asked, or what need not be said beside them.
pub const SETTLES: Marks = Marks::list(30);
pub const SCALES: Marks = Marks::list(31);
// Of how prompts are written.
pub const OF_WORDS: Marks = Marks::list(32);
pub const OF_TEXTS: Marks = Marks::list(33);
pub const OF_SPEECH: Marks = Marks::list(34);
pub const IS_HOMOGRAPH: Marks = Marks::list(35);
pub const IS_SHORT: Marks = Marks::list(36);
pub const IS_UNIT: Marks = Marks::list(37);
pub const IS_LEFT: Marks = Marks::list(38);
pub const BEHIND_A_LETTER: Marks = Marks::list(39);
pub const IS_POLITE: Marks = Marks::list(40);
pub const BEFORE_POLITE: Marks = Marks::list(41);
pub const BEHIND_POLITE: Marks = Marks::list(42);
pub const OF_MEANING: Marks = Marks::list(43);
pub const COUNTS_WORDS: Marks = Marks::list(44);
pub const NAMES_WORDS: Marks = Marks::list(45);
/// A text that speaks of these is compared with all its white space.
pub const OF_LAYOUT: Marks = Marks::list(46);
pub const POINTS: Marks = Marks::list(47);
pub const IS_FEW: Marks = Marks::list(48);
/// Of words that say nothing, those that are meant where a title or a word is.
pub const IS_FILLER: Marks = Marks::list(49);
/// What stands behind these is their object, and no politeness.
pub const NEEDS_OBJECT: Marks = Marks::list(50);
/// A noun by itself where an article leads it, and else a unit or a verb.
pub const IS_OWN_PLURAL: Marks = Marks::list(51);

/// What asks for one of a kind, or for all of it, and not for what it is.
pub const HANDS_OVER: Marks = Marks::list(52);
/// The one who asks, where a preposition leads there.
pub const IS_ME: Marks = Marks::list(53);
/// What helps a verb, which has no `s` then; and the one of these that an `s` stands for.
pub const IS_DO: Marks = Marks::list(56);
pub const IS_DOES: Marks = Marks::list(54);

/// Of an explanation, what says how it is given.
pub const DESCRIBES: Marks = Marks::list(55);

/// What asks for what a thing is.
pub const EXPLAINS: Marks = Marks::list(57);

/// What a name alone tells: "which city is" is no more than "what is".
pub const IS_KIND: Marks = Marks::list(58);

/// By itself it says that something comes to one.
pub const GET: Marks = Marks::list(59);

/// Lists, with one space between words.
pub const LISTS: &[(Marks, &str)] = &[
    (IS_ENGLISH, ENGLISH),
    (IS_REQUEST, REQUESTS),
    (IS_SILENT, SILENT),
    (TAKES_IS, IS_AFTER),
    (IS_QUESTION, QUESTION_WORDS),
    (IS_MANNER, MANNERS),
    (IS_PASSIVE, PASSIVES),
    (IS_ACTIVE, ACTIVES),
    (IS_PARTICIPLE, PARTICIPLES),
    (IS_PAST, PAST),
    (IS_PRESENT, PRESENT),
    (MAY_BE_NAME, NAMES_IN_CAPITALS),
    (HAS_NO_PLURAL, NO_PLURALS),
    (IS_SLIGHT, "in on of for at"),
    (IS_ARTICLE, "a an the my your our this"),
    (LEADS, "of in for at"),
    (FORMS, "in as into to with"),
    (BE, "is are was were"),
    (HAVE, "have has had having"),
    (IS_HELPED, "been got not done gone"),
    // "A used car", "of fixed rates": what follows these is no verb.
    (BEFORE_NOUN, "a an the my your our of in for with"),
    (ASKS_OF_YOU, "can could would will"),
    (HELPS_HOW, "do can could does"),
    (IS_ANYONE, "i one 1 someone"),
    (IS_LOST, "forgot lost"),
    (HAS_PARTICLE, "turn switch turned switched log sign"),
    (IS_PARTICLE, "on off"),
    (
        SETTLES,
        "benefit drawback weather difference price distance simply convert",
    ),
    (SCALES, "hundred thousand million billion"),
    // With one of these a prompt speaks of how something is written or said: no other wording is the same.
    (
        OF_WORDS,
        "spell spells spelled spelt spelling misspell misspelled misspelt typo typos letters character characters \
         syllable syllables vowel vowels consonant consonants punctuation punctuate punctuated comma commas apostrophe \
         apostrophes hyphen hyphens grammar grammatical grammatically capitalize capitalise capitalized capitalised \
         capitalization lowercase uppercase pronounce pronounced pronunciation rhymes anagram anagrams palindrome \
         proofread proofreading rephrase paraphrase etymology acronym abbreviation phrase",
    ),
    // With a text behind a colon, these do something to its wording.
    (
        OF_TEXTS,
        "correct fix check edit rewrite reword improve polish translate repeat reverse count sort say read type shorten",
    ),
    // What is said in another language is quoted, or nothing tells where it begins.
    (OF_SPEECH, "translate translation say says saying said"),
    // Capitals make another word of these.
    (
        IS_HOMOGRAPH,
        "polish turkey china march may august job reading nice who will mark bill rose amber apple word excel access \
         swift rust go java python ruby amazon shell target gap orange jordan chad lima hamburg cologne mobile bath cork \
         swiss latin catholic orthodox republican democratic green labour labor windows office teams",
    ),
    // Words of one or two letters that are no symbols.
    (
        IS_SHORT,
        "a i an as at be by do go he if in is it me my no of on or so to up us we am hi ok ty u",
    ),
    // What units are shortened to.
    (IS_UNIT, "mg mm ml cm km kg g l lb oz kb mb gb tb ft mi min hr sec"),
    // Letters that are left of a contraction.
    (IS_LEFT, "i s t m d u"),
    // Before these a single "a" is no article.
    (
        BEHIND_A_LETTER,
        "to of in and or for from with by is are as on at than plus minus times equals into if then",
    ),
    (
        IS_POLITE,
        "please kindly plz pls thanks thank thx cheers sorry hello hi hey",
    ),
    // What may stand before a word of politeness where a request begins, and behind one where it ends.
    (
        BEFORE_POLITE,
        "could can would will you u hi hello hey there dear many so and ok okay well yes also please",
    ),
    (
        BEHIND_POLITE,
        "very much so a lot in advance you for your help again and",
    ),
    (
        OF_MEANING,
        "mean means meaning define definition synonym synonyms antonym antonyms word polite politeness",
    ),
    (
        OF_LAYOUT,
        "line lines space spaces whitespace tab tabs indent indents indented indentation newline newlines column columns \
         row rows haiku poem verse verses stanza stanzas paragraph paragraphs limerick sonnet layout formatting \
         formatted markdown yaml makefile csv tsv",
    ),
    (POINTS, "this that these those"),
    (IS_FEW, "few little"),
    (IS_OWN_PLURAL, "works minutes"),
    (
        IS_FILLER,
        "really actually exactly currently so very well just then there here",
    ),
    (
        NEEDS_OBJECT,
        "of in on at for to by from with about into than is are was were be been being wrote write writes written sang \
         sing sings sung made make makes said say says saying call called named name recorded record composed released \
         directed painted covered performed played sampled uses use used like and or the a an",
    ),
    (
        HANDS_OVER,
        "give list name show find get provide need want enumerate display make looking",
    ),
    (IS_ME, "me us"),
    (IS_DO, "do does did"),
    (IS_DOES, "does"),
    (
        IS_KIND,
        "city country river lake mountain ocean sea planet person company",
    ),
    (GET, "get gets getting got"),
    (EXPLAINS, "explain describe define"),
    (DESCRIBES, "simple easy plain short brief"),
    (COUNTS_WORDS, "the many"),
    (NAMES_WORDS, "word words letter"),
];
