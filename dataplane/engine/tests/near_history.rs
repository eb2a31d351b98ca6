//! Histories that say the same in other words: which are taken for equal, and which are not and why.

mod rig;

use rig::{
    document, header,
    kept::{answer_with, cached, call_as},
    near::{Node, ask, by_meaning, saying},
    reply,
};
use tollgate_config::{
    Document,
    document::{SemanticHistory, SemanticMode},
};

/// System prompt, a question, its answer, and what is asked last.
type Turns<'a> = [&'a str; 4];

const ASKED: Turns<'_> = [
    "be kind",
    "How do I mend a flat tyre in 20 minutes?",
    "With a patch, two levers and a pump.",
    "Which tools do I need?",
];

fn world(history: SemanticHistory) -> Document {
    let mut semantic = by_meaning(SemanticMode::Serve).expect("one");
    semantic.history = history;
    cached(document(), |cache| cache.semantic = Some(semantic))
}

fn similar(threshold_thousandths: u16) -> Document {
    world(SemanticHistory::Similar { threshold_thousandths })
}

fn conversation([system, asked, answered, last]: Turns<'_>) -> String {
    format!(
        r#"{{"model":"same","messages":[{{"role":"system","content":"{system}"}},{{"role":"user","content":"{asked}"}},{{"role":"assistant","content":"{answered}"}},{{"role":"user","content":"{last}"}}]}}"#
    )
}

/// The same conversation, but for one of its turns.
fn but(at: usize, words: &'static str) -> String {
    let mut turns = ASKED;
    turns[at] = words;
    conversation(turns)
}

const REWORDED: &str = "How do I mend a flat tyre in twenty minutes?";

#[test]
fn a_history_in_other_words_is_taken_for_the_same_where_the_cache_says_so() {
    for (document, expected) in [
        (similar(500), "semantic-hit"),
        (similar(999), "miss"),
        (world(SemanticHistory::Exact), "miss"),
    ] {
        let mut node = Node::new(100);
        let mut rig = node.shards(document, 1).remove(0);
        assert_eq!(ask(&mut rig, &conversation(ASKED), "a wrench").0, "miss");
        node.turn();
        assert_eq!(
            ask(&mut rig, &but(3, "please, which tools do I need"), "no").0,
            "semantic-hit",
            "history is equal"
        );
        assert_eq!(ask(&mut rig, &but(1, REWORDED), "another").0, expected);
    }
}

#[test]
fn what_differs_in_an_earlier_turn_is_another_conversation() {
    let mut node = Node::new(100);
    let mut rig = node.shards(similar(500), 1).remove(0);
    ask(&mut rig, &conversation(ASKED), "a wrench");
    node.turn();
    for other in [
        but(0, "be terse"),
        but(1, "How do I mend a flat tyre in 30 minutes?"),
        but(1, "How do I avoid a flat tyre in 20 minutes?"),
        but(2, "Without a patch, two levers and a pump."),
        but(2, "With a patch, three levers and a pump."),
        conversation(ASKED).replace("assistant", "user"),
        conversation(ASKED).replacen(
            r#"{"role":"user""#,
            r#"{"role":"user","content":"hi"},{"role":"user""#,
            1,
        ),
    ] {
        assert_eq!(ask(&mut rig, &other, "another").0, "miss", "{other}");
    }
    // None of these was indexed yet: what is kept is still found.
    assert_eq!(ask(&mut rig, &but(1, REWORDED), "no").0, "semantic-hit");
}

#[test]
fn whoever_asks_why_is_told_which_text_differs_in_what() {
    let mut node = Node::new(100);
    // What differs is told, however near the whole is.
    let mut document = similar(999);
    document.keys.iter_mut().for_each(|(_, key)| key.explain = true);
    let mut rig = node.shards(document, 1).remove(0);
    ask(&mut rig, &conversation(ASKED), "a wrench");
    node.turn();
    let other = but(1, "How do I mend a flat tyre in 30 minutes?");
    call_as(&mut rig, "all", "x-tollgate-explain: 1\n", &other);
    let (_, lines, _) = reply(&answer_with(&mut rig, 200, &saying("another")));
    let told = header(&lines, "x-tollgate-explain").unwrap_or_default();
    assert!(
        told.contains("a history that differs in number, in text 1 of it"),
        "{told}"
    );
}
