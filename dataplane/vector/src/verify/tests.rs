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

#[test]
fn texts_are_the_same_words_whatever_stands_between() {
    for (one, other) in [("", " "), ("a b", " a\tb\n"), ("é\u{a0}x", "é x")] {
        assert!(are_the_same_words(one, other), "{one:?} {other:?}");
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
