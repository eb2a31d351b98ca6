//! What single words of English are to a question: those that say nothing, those whose change turns the answer, and
//! groups that mean the same. Facts about words and nothing else.
//!
//! A group holds only words that may stand for each other in any question: a wrong member serves wrong answers, a missing
//! one only costs a hit.

use memchr::memmem;

/// What a term is, which says why a prompt differs, and whether its place in the prompt matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Word,
    Name,
    Number,
    Unit,
    Currency,
    Date,
    Negation,
    Comparison,
    Direction,
    Scope,
    Format,
    Language,
    /// What is wanted of a subject: its advantages, its meaning. It may stand before the subject or after it.
    Ask,
    Literal,
}

/// Which of a kind a word speaks of, and whose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Determiner {
    #[default]
    Bare,
    The,
    A,
    My,
    Our,
    Your,
    Its,
    This,
    That,
    Any,
    Part,
    Which,
    /// "France's".
    Owned,
}

/// What leads to a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preposition {
    #[default]
    Bare,
    Of,
    In,
    During,
    On,
    At,
    For,
    To,
    With,
    About,
    As,
}

/// Whether a list of words, with one space between, holds this one.
pub fn has(list: &str, word: &str) -> bool {
    let (bytes, length) = (list.as_bytes(), word.len());
    let is_edge = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_none_or(|byte| *byte == b' ');
    let is_whole = |at: usize| is_edge(at.checked_sub(1)) && is_edge(Some(at + length));
    !word.is_empty() && !word.contains(' ') && memmem::find_iter(bytes, word.as_bytes()).any(is_whole)
}

pub const CLASSES: &[(Class, &str)] = &[
    (
        Class::Negation,
        "not no never without nor neither none nobody nothing nowhere",
    ),
    (
        Class::Scope,
        "only except excluding including all every each both most other another else few many several half \
         double everyone everything always sometimes often rarely again alone",
    ),
    (
        Class::Direction,
        "from before after since until till by through across toward towards against over under above below \
         between out off up down behind versus via within outside inside increase decrease import export buy \
         sell send receive lend borrow encode decode encrypt decrypt upload download incoming outgoing north \
         south east west left right first last next previous ascending descending start stop open close lock \
         unlock enable disable add remove win lose gain arrive depart arrival departure deposit withdraw \
         compress decompress push pull login logout accept decline",
    ),
    (
        Class::Comparison,
        "more less most least than bigger smaller larger biggest smallest largest higher lower highest lowest \
         longer shorter longest shortest older younger oldest youngest newer newest faster slower fastest \
         slowest cheaper cheapest dearer dearest better worse best worst heavier lighter heaviest lightest \
         hotter colder hottest coldest warmer cooler stronger weaker strongest weakest richer poorer richest \
         poorest earlier later earliest latest near far nearest farthest closest furthest maximum minimum \
         tallest deepest taller deeper wider narrower safe unsafe safer easier harder easiest hardest good bad \
         hot cold big small high low long short fast slow cheap expensive easy hard old new young strong weak \
         legal illegal possible impossible public private positive negative",
    ),
    (
        Class::Date,
        "january february march april may june july august september october november december monday tuesday \
         wednesday thursday friday saturday sunday today tomorrow yesterday tonight spring summer autumn winter \
         morning afternoon evening noon midnight am pm christmas easter weekend",
    ),
    (
        Class::Unit,
        "kilometer meter centimeter millimeter mile yard foot inch kilogram gram milligram pound ounce ton \
         liter milliliter gallon pint cup tablespoon teaspoon celsius fahrenheit kelvin second millisecond \
         minute hour day week month year decade century byte kilobyte megabyte gigabyte terabyte bit watt \
         kilowatt volt ampere joule calorie percent degree knot acre hectare hertz pixel mbps kmh mph",
    ),
    (
        Class::Currency,
        "dollar euro sterling yen yuan rupee franc krona peso real won ruble lira zloty cent bitcoin",
    ),
    (
        Class::Format,
        "sentence word paragraph bullet table json csv xml yaml html markdown haiku poem essay limerick sonnet \
         tweet slide outline diagram chart page line character simply briefly detail child formal informal song \
         rhyme headline abstract email letter story",
    ),
    (
        Class::Language,
        "english french german spanish italian portuguese dutch japanese chinese mandarin cantonese korean \
         russian arabic hindi bengali urdu turkish polish swedish norwegian danish finnish greek hebrew thai \
         vietnamese indonesian malay swahili czech hungarian romanian ukrainian catalan latin persian tamil \
         filipino bulgarian croatian serbian slovak welsh irish",
    ),
    (Class::Ask, "benefit drawback mean difference example synonym antonym"),
];

/// Words that mean the same; the first stands for all. Forms are listed where they are needed: only a plural's `s` is
/// taken off before.
pub const SAME: &[&str] = &[
    // Account and device
    "enable activate",
    "enabled activated",
    "disable deactivate",
    "disabled deactivated",
    "login signin logon",
    "logout signout logoff",
    "signup register enrol enroll",
    "remove delete erase",
    "removed deleted erased",
    "cancelled canceled",
    "recover regain",
    "setup configure",
    "phone telephone",
    "mobile cellphone",
    "photo photograph picture pic",
    "info information",
    "wifi wlan",
    "bug defect",
    "decline reject refuse",
    "declined rejected refused denied",
    "begin start commence",
    "end finish",
    "bought purchased",
    "allowed permitted",
    "reduce decrease lessen",
    "increase boost",
    "improve enhance",
    "choose select pick",
    "occur happen",
    "occurred happened",
    // Asking for text
    "summarize summary",
    "write compose draft",
    "recommend suggest",
    "recommended suggested",
    "translate translation",
    "calculate compute",
    "benefit advantage pros upside",
    "drawback disadvantage cons downside",
    "mean meaning definition define signify",
    "difference differ",
    "price cost",
    "kind type",
    // People, places and things
    "child kid",
    "children kids",
    "people persons",
    "doctor physician",
    "lawyer attorney",
    "film movie",
    "car automobile",
    "shop store",
    "airplane aeroplane",
    "truck lorry",
    "petrol gasoline",
    "illness disease sickness",
    "medicine medication",
    "nation country",
    "firm company",
    "inhabitant resident",
    // How things are
    "big large",
    "bigger larger",
    "biggest largest",
    "fast quick quickly rapid rapidly",
    "faster quicker",
    "cheap inexpensive",
    "easy effortless",
    "hard difficult",
    "smart intelligent clever",
    "ill sick",
    "wrong incorrect",
    "maximum max",
    "briefly concisely shortly",
    "versus vs",
    "till until",
    "toward towards",
    "except excluding",
    "only solely exclusively",
    // Spelling beyond what endings tell
    "gray grey",
    "check cheque",
    "program programme",
    "center centre",
    "theater theatre",
    "fiber fibre",
    "catalog catalogue",
    "defense defence",
    "license licence",
    "tire tyre",
    "jewelry jewellery",
    "traveling travelling",
    // Units, with what they are shortened to
    "kilometer kilometre km kms",
    "meter metre",
    "centimeter centimetre cm",
    "millimeter millimetre mm",
    "mile mi",
    "foot feet ft",
    "kilogram kilogramme kilo kg kgs",
    "gram gramme g",
    "milligram mg",
    "pound lb lbs",
    "ounce oz",
    "liter litre l",
    "milliliter millilitre ml",
    "minute min",
    "hour hr hrs",
    "second sec secs",
    "kilobyte kb",
    "megabyte mb",
    "gigabyte gb",
    "terabyte tb",
    "percent % pct",
    "degree °",
    "dollar $ usd",
    "euro € eur",
    "sterling £ gbp",
    "yen jpy",
    "rupee ₹ inr",
    // Dates
    "january jan",
    "february feb",
    "march mar",
    "april apr",
    "june jun",
    "july jul",
    "august aug",
    "september sept sep",
    "october oct",
    "november nov",
    "december dec",
    "monday mon",
    "tuesday tue tues",
    "wednesday wed",
    "thursday thu thurs",
    "friday fri",
    "saturday sat",
];

/// Words that leave no trace: what they say is in the order of the others, which is compared.
pub const SILENT: &str = "a an the of in on at for to into onto with about during as is are am was were be been being do does did \
     has have had having got get gets getting i me my mine we our you your it its this that these those \
     and some any which what one's whom whether";

/// Small words before a term that say what part it plays; two different ones before the same term are two questions.
pub const ROLES: &[(&str, &str)] = &[
    ("to", "to"),
    ("into", "to"),
    ("onto", "to"),
    ("for", "for"),
    ("with", "with"),
    ("about", "about"),
    ("as", "as"),
];

/// Small words that say which of a kind is meant, whose, and of how many; those of a row stand for each other.
pub const DETERMINERS: &[(Determiner, &str)] = &[
    (Determiner::The, "the"),
    (Determiner::A, "a an"),
    (Determiner::My, "my"),
    (Determiner::Our, "our"),
    (Determiner::Your, "your"),
    (Determiner::Its, "its"),
    (Determiner::This, "this these"),
    (Determiner::That, "that those"),
    (Determiner::Any, "any"),
    (Determiner::Part, "some"),
    (Determiner::Which, "which what"),
];

/// Small words that say where a thing is or what it belongs to; those of a row stand for each other.
pub const PREPOSITIONS: &[(Preposition, &str)] = &[
    (Preposition::Of, "of"),
    (Preposition::In, "in"),
    (Preposition::During, "during"),
    (Preposition::On, "on"),
    (Preposition::At, "at"),
    (Preposition::For, "for"),
    (Preposition::To, "to into onto"),
    (Preposition::With, "with"),
    (Preposition::About, "about"),
    (Preposition::As, "as"),
];

/// Who asks and who is asked, and those that who asks speaks for.
pub const PERSONS: &[(&str, u8)] = &[
    ("i", 1),
    ("me", 1),
    ("my", 1),
    ("mine", 1),
    ("myself", 1),
    ("we", 3),
    ("us", 3),
    ("our", 3),
    ("ours", 3),
    ("you", 2),
    ("your", 2),
    ("yours", 2),
];

/// Grammar of English that stands in nearly every sentence: without any of these, no word is taken for grammar.
pub const ENGLISH: &str = "the a what how does can why who when where which please my you and is are of i for to with in thanks thank \
     hi hello hey question into from by at this that not";

/// Grammar that is a name when it is written in capitals.
pub const NAMES_IN_CAPITALS: &str = "us it who or in me no so as is am all on at do be";

pub const QUESTION_WORDS: &str = "what which who why how when where whose";

/// Forms of the answer that no preposition leads.
pub const MANNERS: &str = "simply briefly detail child formal informal bullet";

/// Forms of "be" and what stands for them: what a participle needs to be suffered and not done.
pub const PASSIVES: &str = "is are am was were be been being got get gets getting";
pub const ACTIVES: &str = "do does did has have had";

/// Participles that no ending tells from other words.
pub const PARTICIPLES: &str = "written beaten given taken eaten broken spoken stolen chosen driven known shown grown thrown drawn seen \
     bitten hidden sent paid sold told bought lost made found built won hit hurt left held kept led met caught \
     taught brought";

/// Past forms that no ending tells, and the verb.
pub const PAST_FORMS: &[(&str, &str)] = &[
    ("went", "go"),
    ("wrote", "write"),
    ("bought", "buy"),
    ("sent", "send"),
    ("lost", "lose"),
    ("won", "win"),
    ("made", "make"),
    ("took", "take"),
    ("gave", "give"),
    ("found", "find"),
    ("saw", "see"),
    ("spoke", "speak"),
    ("broke", "break"),
    ("paid", "pay"),
    ("sold", "sell"),
    ("told", "tell"),
    ("ate", "eat"),
    ("began", "begin"),
    ("became", "become"),
    ("built", "build"),
    ("came", "come"),
    ("ran", "run"),
    ("rose", "rise"),
    ("grew", "grow"),
    ("died", "die"),
];

/// What begins a question that is answered yes or no.
pub const AUXILIARIES: &str = "is are am was were do does did has have had can should will must might";

pub const PAST: &str = "was were did had got been";
pub const PRESENT: &str = "is are am do does";

/// Verbs that turn a question into another, unless it asks how.
pub const MODALS: &[(&str, &str)] = &[
    ("can", "can"),
    ("could", "can"),
    ("should", "should"),
    ("shall", "should"),
    ("ought", "should"),
    ("will", "will"),
    ("would", "will"),
    ("must", "must"),
    ("might", "might"),
];

/// What "can you" may ask of whoever answers: then it is no question whether.
pub const REQUESTS: &str = "add analyze answer brainstorm calculate check classify compare compute convert correct create define \
     describe design draft edit elaborate explain extract find fix generate give help identify improve list \
     look make name outline paraphrase please prepare proofread propose provide recommend rephrase review \
     rewrite share show solve sort suggest summarize summarise teach tell translate walk write";

/// Plurals that are none, or whose `s` belongs to the word.
pub const NO_PLURALS: &str = "news series species physics mathematics maths economics politics always perhaps across lens texas paris \
     athens wales james charles windows kubernetes postgres redis css dns tls ios macos rails pandas mars venus \
     besides towards afterwards indoors sales yes his hers theirs aws https sms gps tennis olympics \
     headquarters means glasses customs goods arms papers irons blues spectacles gods waters manners woods pants \
     jeans ethics statistics shorts greens tights rapids damages forces terms trousers savings earnings thanks \
     remains surroundings grounds brains airs spirits bowels premises scales draughts odds times heavens lords \
     authorities contents directions riches wages dues graphics acoustics analytics logistics tactics athletics \
     gymnastics electronics genetics linguistics optics robotics dynamics mechanics classics humanities honours \
     honors proceeds proceedings measles mumps rabies diabetes billiards";

pub const NUMBER_WORDS: &[(&str, u64)] = &[
    ("zero", 0),
    ("one", 1),
    ("two", 2),
    ("three", 3),
    ("four", 4),
    ("five", 5),
    ("six", 6),
    ("seven", 7),
    ("eight", 8),
    ("nine", 9),
    ("ten", 10),
    ("eleven", 11),
    ("twelve", 12),
    ("thirteen", 13),
    ("fourteen", 14),
    ("fifteen", 15),
    ("sixteen", 16),
    ("seventeen", 17),
    ("eighteen", 18),
    ("nineteen", 19),
    ("twenty", 20),
    ("thirty", 30),
    ("forty", 40),
    ("fifty", 50),
    ("sixty", 60),
    ("seventy", 70),
    ("eighty", 80),
    ("ninety", 90),
    ("dozen", 12),
];

pub const ORDINALS: &[(&str, &str)] = &[
    ("first", "1st"),
    ("second", "2nd"),
    ("third", "3rd"),
    ("fourth", "4th"),
    ("fifth", "5th"),
    ("sixth", "6th"),
    ("seventh", "7th"),
    ("eighth", "8th"),
    ("ninth", "9th"),
    ("tenth", "10th"),
];

pub const CONTRACTIONS: &[(&str, &str)] = &[
    ("can't", "can not"),
    ("cannot", "can not"),
    ("won't", "will not"),
    ("shan't", "should not"),
    ("ain't", "is not"),
    ("let's", "let us"),
    ("whats", "what is"),
    ("wheres", "where is"),
    ("whos", "who is"),
    ("hows", "how is"),
    ("dont", "do not"),
    ("doesnt", "does not"),
    ("didnt", "did not"),
    ("isnt", "is not"),
    ("arent", "are not"),
    ("wasnt", "was not"),
    ("cant", "can not"),
    ("wont", "will not"),
    ("couldnt", "could not"),
    ("shouldnt", "should not"),
    ("wouldnt", "would not"),
    ("havent", "have not"),
    ("hasnt", "has not"),
    ("im", "i am"),
    ("ive", "i have"),
    ("gonna", "going to"),
    ("wanna", "want to"),
    ("gotta", "have to"),
    ("plz", "please"),
    ("pls", "please"),
    ("thx", "thanks"),
    ("ty", "thanks"),
    ("u", "you"),
    ("ur", "your"),
];

/// Words whose `'s` is "is" and no possessive.
pub const IS_AFTER: &str = "what who where when how why that it there here he she this which";

#[cfg(test)]
mod tests {
    use super::has;

    #[test]
    fn a_list_holds_its_words_and_no_part_of_them() {
        const LIST: &str = "mean means in meaning mm é";
        for word in LIST.split(' ') {
            assert!(has(LIST, word), "{word}");
        }
        for word in ["", " ", "m", "ean", "mea", "in meaning", "eans", "meanings", "é ", "e"] {
            assert!(!has(LIST, word), "{word:?}");
        }
    }
}
