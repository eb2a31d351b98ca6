//! Which prompts may share an answer, by example, and that no text stops the verifier.

use proptest::prelude::*;
use tollgate_vector::{Difference, Embedder, Verifier};

struct Judge {
    embedder: Embedder,
    verifier: Verifier,
}

impl Judge {
    fn new() -> Self {
        Self {
            embedder: Embedder::builtin().expect("the shipped model loads"),
            verifier: Verifier::default(),
        }
    }

    fn verdict(&self, before: &str, now: &str) -> Result<(), Difference> {
        let is_known = |word: &str| self.embedder.knows(word);
        both_ways(before, now, |one, other| self.verifier.verify(one, other, is_known))
    }
}

/// The order does not matter for whether they are the same.
fn both_ways(before: &str, now: &str, judge: impl Fn(&str, &str) -> Result<(), Difference>) -> Result<(), Difference> {
    let verdict = judge(before, now);
    assert_eq!(
        verdict.is_ok(),
        judge(now, before).is_ok(),
        "in which order: {before} | {now}"
    );
    verdict
}

/// Pairs of prompts that ask the same in other words, or another thing in nearly the same.
fn wordings(kind: &str) -> Vec<(&'static str, &'static str)> {
    let lines = include_str!("data/wordings.tsv")
        .lines()
        .map(|line| line.splitn(3, '\t').collect::<Vec<_>>());
    let of_kind = lines.filter_map(|fields| match fields[..] {
        [found, before, now] if found == kind => Some((before, now)),
        _ => None,
    });
    of_kind.collect()
}

/// What explain says of a candidate.
const REASONS: &[(&str, &str, Difference)] = &[
    ("What is 15% of 300?", "What is 16% of 300?", Difference::Number),
    (
        "Explain tides in six sentences.",
        "Explain tides in five sentences.",
        Difference::Number,
    ),
    ("How far is it in km?", "How far is it in miles?", Difference::Unit),
    ("What is 5 $ in yen?", "What is 5 € in yen?", Difference::Currency),
    ("Weather in Rome in May", "Weather in Rome in June", Difference::Date),
    (
        "Translate \"hi\" into Dutch.",
        "Translate \"hi\" into Thai.",
        Difference::Language,
    ),
    (
        "Translate \"hi\" into Dutch.",
        "Translate \"bye\" into Dutch.",
        Difference::Literal,
    ),
    (
        "Explain https://a.example/1",
        "Explain https://a.example/2",
        Difference::Literal,
    ),
    ("What does `f(x)` do?", "What does `f(y)` do?", Difference::Literal),
    (
        "Describe tea as a table.",
        "Describe tea as a poem.",
        Difference::Format,
    ),
    (
        "List clients with debts.",
        "List clients without debts.",
        Difference::Negation,
    ),
    (
        "Name the largest lake.",
        "Name the smallest lake.",
        Difference::Comparison,
    ),
    (
        "How do I enable the firewall?",
        "How do I disable the firewall?",
        Difference::Direction,
    ),
    (
        "Is Peru bigger than Chile?",
        "Is Chile bigger than Peru?",
        Difference::Direction,
    ),
    (
        "Flights from Oslo to Lima",
        "Flights from Lima to Oslo",
        Difference::Direction,
    ),
    ("Sales of all regions", "Sales of regions", Difference::Scope),
    ("Write to Olga.", "Write to Priya.", Difference::Name),
    ("Who invented it?", "When was it invented?", Difference::QuestionType),
    ("Who is the pope?", "Who was the pope?", Difference::Tense),
    ("What is a tort?", "What is a torte?", Difference::Wording),
];

#[test]
fn other_words_for_the_same_are_served() {
    let judge = Judge::new();
    let wordings = wordings("same");
    assert!(wordings.len() > 80);
    let verdicts = wordings
        .into_iter()
        .map(|(before, now)| (before, now, judge.verdict(before, now)));
    let refused = verdicts.filter(|(_, _, verdict)| verdict.is_err());
    assert_eq!(refused.collect::<Vec<_>>(), []);
}

#[test]
fn another_question_is_never_served() {
    let judge = Judge::new();
    let others = wordings("other");
    assert!(others.len() > 150);
    let served = others
        .into_iter()
        .filter(|(before, now)| judge.verdict(before, now).is_ok());
    assert_eq!(served.collect::<Vec<_>>(), []);
}

/// What somebody who looks for wrong answers would ask: pairs with what turns the answer, and those to `keep` beside them.
#[test]
fn what_turns_an_answer_is_refused_and_what_does_not_is_kept() {
    let judge = Judge::new();
    let lines = include_str!("data/hostile.tsv").lines();
    let pairs: Vec<[&str; 3]> = lines
        .map(|line| line.split('\t').collect::<Vec<_>>().try_into().expect("three fields"))
        .collect();
    let kept = pairs.iter().filter(|[kind, ..]| *kind == "keep").count();
    assert!(kept >= 40 && pairs.len() - kept >= 180, "{kept} of {}", pairs.len());
    let wrong = pairs
        .iter()
        .filter(|[kind, before, now]| judge.verdict(before, now).is_ok() != (*kind == "keep"));
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<&[&str; 3]>::new());
}

#[test]
fn a_rejection_says_why() {
    let judge = Judge::new();
    for (before, now, why) in REASONS {
        assert_eq!(judge.verdict(before, now), Err(*why), "{before} | {now}");
        assert!(!why.name().is_empty());
    }
}

#[test]
fn a_statement_says_the_same_only_word_by_word() {
    let judge = Judge::new();
    let states = |before: &str, now: &str| {
        let is_known = |word: &str| judge.embedder.knows(word);
        both_ways(before, now, |one, other| {
            judge.verifier.states_the_same(one, other, is_known)
        })
    };
    let same = wordings("stated");
    let others = wordings("said-otherwise");
    assert!(same.len() > 8 && others.len() > 60);
    let refused = same.iter().filter(|(before, now)| states(before, now).is_err());
    assert_eq!(refused.collect::<Vec<_>>(), Vec::<&(&str, &str)>::new());
    let served = others.iter().filter(|(before, now)| states(before, now).is_ok());
    assert_eq!(served.collect::<Vec<_>>(), Vec::<&(&str, &str)>::new());
    let code = ("if x:\n  a()\n  b()", "if x:\n  a()\nb()");
    assert_eq!(states(code.0, code.1), Err(Difference::Literal));
    assert_eq!(states("I have 2 cats.", "I have 3 cats."), Err(Difference::Number));
}

#[test]
fn white_space_that_says_something_makes_another_question() {
    let judge = Judge::new();
    for (before, now) in [
        ("for i in x:\n    a()\n    b()", "for i in x:\n    a()\nb()"),
        ("a:\n  b: 1\n  c: 2", "a:\n  b: 1\nc: 2"),
        ("all:\n\techo hi", "all:\n    echo hi"),
        ("```\nif x:\n  y()\n  z()\n```", "```\nif x:\n  y()\nz()\n```"),
        (
            "How many lines does this have?\na\nb",
            "How many lines does this have? a b",
        ),
        (
            "Is this a haiku?\none two\nthree\nfour",
            "Is this a haiku? one two three four",
        ),
        ("How many spaces are in \"a  b\"?", "How many spaces are in \"a b\"?"),
        ("How does `a  b` print?", "How does `a b` print?"),
    ] {
        assert!(judge.verdict(before, now).is_err(), "{before:?} | {now:?}");
        let (before, now) = (
            format!("What does this give?\n{before}"),
            format!("Please, what does this give?\n{now}"),
        );
        assert!(judge.verdict(&before, &now).is_err(), "{before:?} | {now:?}");
    }
}

#[test]
fn a_prompt_of_many_words_and_marks_is_served_only_when_it_is_equal() {
    let judge = Judge::new();
    for many in ["x than y ", "from x to y ", "<a", "a "] {
        let many = many.repeat(3_900 / many.len());
        assert_eq!(judge.verdict(&many, &format!("please {many}")), Err(Difference::Length));
    }
    for silent in ["(", "“", "\""] {
        let silent = silent.repeat(3_900 / silent.len());
        let verdict = judge.verdict(&format!("{silent}a"), &format!("{silent}b"));
        assert!(verdict.is_err(), "{verdict:?}");
    }
}

#[test]
fn a_long_prompt_is_served_only_when_it_is_equal() {
    let judge = Judge::new();
    let long = "a document of many words ".repeat(1000);
    assert_eq!(judge.verdict(&long, &format!("  {}", long.replace(' ', "  "))), Ok(()));
    assert_eq!(judge.verdict(&long, &format!("please {long}")), Err(Difference::Length));
}

/// Sentences of words that mean something to the verifier.
fn sentence() -> impl Strategy<Value = String> {
    let words = "how can i what is the why was my France's capital Oslo from to 5 twenty one $ % may 20 March 1999 turn on off dark mode \
                 whom US it reset PIN , ? . \"quoted\" `code` a/b as bullet points who wrote which river longest convert mile not teh";
    let words: Vec<&'static str> = words.split_whitespace().collect();
    proptest::collection::vec(proptest::sample::select(words), 0..14).prop_map(|words| words.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn sentences_are_judged_alike_both_ways(before in sentence(), now in sentence()) {
        let judge = judge_once();
        let _ = judge.verdict(&before, &now);
        prop_assert_eq!(judge.verdict(&before, &before.replace(' ', "  ")), Ok(()));
    }

    #[test]
    fn any_text_is_judged(before in any::<String>(), now in any::<String>()) {
        let judge = judge_once();
        let _ = judge.verdict(&before, &now);
        prop_assert_eq!(judge.verdict(&before, &before), Ok(()));
    }
}

/// Loaded once for all cases of a property.
fn judge_once() -> &'static Judge {
    static JUDGE: std::sync::LazyLock<Judge> = std::sync::LazyLock::new(Judge::new);
    &JUDGE
}
