//! What is read once for all comparisons says what reading both anew says.

use proptest::prelude::*;

use super::*;

/// Some of these are no words, and some of them slips of others.
const WORDS: &str = "how can i what is the why was my France's capital captial Oslo Osol from to 5 twenty one $ % may 20 March turn on off \
     dark mode drak which US it reset rseet PIN , ? . \"quoted\" `code` a/b as zorblax zorblxa Qwuux qwuxu pasword passwords colour \
     countries price of thanks please don't it's hundred first tea taxonmoy taxonomy café two";

fn prompt() -> impl Strategy<Value = String> {
    let words: Vec<&'static str> = WORDS.split_whitespace().collect();
    proptest::collection::vec(proptest::sample::select(words), 1..12).prop_map(|words| words.join(" "))
}

/// Nearly the same: a word is another, left out, or has two letters that changed places.
fn near() -> impl Strategy<Value = (String, String)> {
    (prompt(), prompt(), any::<(usize, usize)>()).prop_map(|(one, other, (at, how))| {
        let mut words: Vec<String> = one.split(' ').map(str::to_owned).collect();
        let at = at % words.len();
        match how % 3 {
            0 => other.split(' ').take(1).for_each(|other| words[at] = other.to_owned()),
            1 => _ = words.remove(at),
            _ => {
                let mut letters: Vec<char> = words[at].chars().collect();
                let places = letters.len().max(2) - 1;
                if letters.len() > 1 {
                    letters.swap(how % places, how % places + 1);
                }
                words[at] = letters.into_iter().collect();
            }
        }
        (one, words.join(" "))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_reading_that_is_kept_says_what_reading_anew_says((before, now) in near()) {
        let verifier = judge_once();
        let is_known = |word: &str| WORDS.contains(word) && word.len().is_multiple_of(2);
        let (first, second) = (verifier.prepare(&before, is_known), verifier.prepare(&now, is_known));
        let (first, second) = (first.read().expect("it is short"), second.read().expect("it is short"));
        let tables = &verifier.tables;
        if !first.may_be_corrected(second, tables) && !second.may_be_corrected(first, tables) {
            let anew = verifier.compare_corrected(&before, &now, &is_known);
            prop_assert_eq!(form::compare(&first.form, &second.form), anew);
        }
    }
}

#[test]
fn a_slip_is_put_right_only_beside_a_prompt_that_shows_it() {
    let verifier = judge_once();
    let is_known = |word: &str| word == "taxonomy";
    let verify = |before, now| verifier.verify(before, now, is_known);
    assert_eq!(verify("What is a taxonomy?", "what is a taxonmoy"), Ok(()));
    assert_eq!(
        verify("What is a taxonmoy?", "what is a taxidermy"),
        Err(Difference::Wording)
    );
}

const SAME_BUT_FOR_SPACE: &[(&str, &str)] = &[
    ("", " "),
    ("a b", "  a   b\n"),
    ("é\u{a0}x", "é x"),
    ("What is a tort? I forgot.", "What is a tort?\n\nI forgot.\r\n"),
    ("Answer this:\nWhat is a tort?", "Answer this: What is a tort?"),
    ("Hi, what is a tort?", "Hi,\nwhat is a tort?"),
    ("What is a tort? Thanks", "What is a tort?\n  \nThanks"),
    ("Don't  go by the boys'  van", "Don't go by the boys' van"),
];

const OTHERS_BY_SPACE: &[(&str, &str)] = &[
    (
        "```\nfor i in x:\n    a()\n    b()\n```",
        "```\nfor i in x:\n    a()\nb()\n```",
    ),
    ("for i in x:\n    a()\n    b()", "for i in x:\n    a()\nb()"),
    ("  a: 1\nb: 2", "a: 1\nb: 2"),
    ("Is it valid? a: 1\n  b: 2", "Is it valid? a: 1\nb: 2"),
    ("all:\n\techo hi", "all:\n    echo hi"),
    ("a\tb", "a b"),
    ("Print \"a  b\"", "Print \"a b\""),
    ("Print 'a  b'", "Print 'a b'"),
    ("Print “a  b”", "Print “a b”"),
    ("Print `a  b`", "Print `a b`"),
    ("How many spaces are in a  b?", "How many spaces are in a b?"),
    (
        "How many lines does this have?\na\nb",
        "How many lines does this have? a b",
    ),
    ("How many lines? Yes.\nNo.", "How many lines? Yes. No."),
    ("Is it one?\none two\nthree\nfour", "Is it one? one two three four"),
    (
        "What does it print?\n# sure?\nprint(1)",
        "What does it print?\n# sure? print(1)",
    ),
    ("a\n\nb", "a\nb"),
    ("key:\nvalue", "key: value"),
];

#[test]
fn texts_are_the_same_words_where_what_stands_between_says_nothing() {
    let are_the_same_words = |one, other| are_the_same_words(one, other, &judge_once().tables);
    for (one, other) in SAME_BUT_FOR_SPACE {
        assert!(are_the_same_words(one, other), "{one:?} {other:?}");
    }
    for (one, other) in OTHERS_BY_SPACE {
        assert!(!are_the_same_words(one, other), "{one:?} {other:?}");
    }
    for (one, other) in [
        ("", "a"),
        ("ab", "a b"),
        ("a", "ab"),
        ("é", "è"),
        ("a\u{a0}", "a\u{a1}"),
    ] {
        assert!(!are_the_same_words(one, other), "{one:?} {other:?}");
    }
}

/// Its tables are made once for all cases of a property.
fn judge_once() -> &'static Verifier {
    static VERIFIER: std::sync::LazyLock<Verifier> = std::sync::LazyLock::new(Verifier::default);
    &VERIFIER
}
