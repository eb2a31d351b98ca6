//! Questions gathered, told in order and remembered, whatever the provider says.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use tollgate_config::{check::check, document::Reference, parse::parse};

use super::*;
use crate::snapshot::compile;

const NOW: Tick = Tick(1_000_000_000);
const MS: u64 = 1_000_000;

fn snapshot(embedding: &str) -> Snapshot {
    let text = format!(
        "version: 1\nembedding: {{ {embedding} }}\nproviders: {{ p: {{ kind: openai, credential: env:A }} }}\n\
         models: {{ m: {{ targets: [ {{ provider: p, model: x }} ] }} }}\n"
    );
    let document = check(&parse(&text).expect("YAML")).expect("a good document");
    let secrets = BTreeMap::from([(Reference::Env("A".to_owned()), b"secret".to_vec())]);
    compile(1, document, &secrets).expect("a snapshot")
}

fn usual() -> Snapshot {
    snapshot("provider: p, model: e, dimensions: 16, timeout: 100ms")
}

fn remote(snapshot: &Snapshot) -> Arc<Remote> {
    Arc::clone(snapshot.remote.as_ref().expect("an embedder"))
}

fn ask(asker: &mut Asker, at: Tick, remote: &Arc<Remote>, key: u128) -> Result<Rc<Question>, Lack> {
    asker.ask(at, remote, (key, format!("question {key}")), key as u64)
}

fn next(asker: &mut Asker, at: Tick, snapshot: &Snapshot) -> Option<Batch> {
    let mut woken = Vec::new();
    let batch = asker.next(at, snapshot, &mut woken);
    assert!(woken.is_empty());
    batch
}

/// What is asked, as the provider reads it.
fn body(batch: &Batch) -> Value {
    let text = String::from_utf8(batch.request.clone()).expect("UTF-8");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
    assert_eq!(&body[batch.model.clone()], "\"e\"");
    serde_json::from_str(body).expect("JSON")
}

fn vector(number: usize) -> Vec<f32> {
    (0..16).map(|at| if at == number % 16 { 2.0 } else { 0.0 }).collect()
}

/// An answer with these inputs' vectors, in this order.
fn answer(places: impl IntoIterator<Item = usize>) -> Vec<u8> {
    let data: Vec<Value> = places
        .into_iter()
        .map(|index| json!({"index": index, "embedding": vector(index)}))
        .collect();
    json!({"data": data}).to_string().into_bytes()
}

fn told(question: &Question) -> Result<Arc<[f32]>, Lack> {
    question.told.get().expect("it is told").clone()
}

#[test]
fn questions_of_a_turn_go_up_together_and_the_same_one_once() {
    let snapshot = usual();
    let (remote, mut asker) = (remote(&snapshot), Asker::default());
    let first = ask(&mut asker, NOW, &remote, 1).expect("asked");
    let same = asker.ask(NOW, &remote, (1, "question 1".to_owned()), 9).expect("asked");
    ask(&mut asker, NOW, &remote, 2).expect("asked");
    assert!(Rc::ptr_eq(&first, &same) && asker.has_work());
    let batch = next(&mut asker, NOW, &snapshot).expect("a call");
    assert_eq!(
        body(&batch),
        json!({"model": "e", "input": ["question 1", "question 2"], "encoding_format": "base64", "dimensions": 16})
    );
    assert!(!asker.has_work() && next(&mut asker, NOW, &snapshot).is_none());
    // Who asks the same while it is under way is told as well.
    asker.ask(NOW, &remote, (2, "question 2".to_owned()), 7).expect("asked");
    assert!(!asker.has_work());
    let Ended { woken, change } = asker.ended(NOW, batch.number, Ok(&answer([1, 0])), None);
    assert_eq!((woken, change), (vec![1, 9, 2, 7], None));
    assert_eq!(&told(&first).expect("a vector")[..2], [1.0, 0.0], "of length 1");
    assert_eq!(asker.counts.calls_ok, 1);
    // Nobody knows this call any more.
    let again = asker.ended(NOW, batch.number, Ok(&answer([0, 1])), None);
    assert!(again.woken.is_empty());
}

proptest! {
    #[test]
    fn each_is_told_its_own_vector_in_whatever_order_the_answer_came(
        count in 1usize..=32,
        shuffle in proptest::collection::vec(any::<u32>(), 32),
    ) {
        let snapshot = usual();
        let (remote, mut asker) = (remote(&snapshot), Asker::default());
        let asked: Vec<_> = (0..count).map(|key| ask(&mut asker, NOW, &remote, key as u128).expect("asked")).collect();
        let batch = next(&mut asker, NOW, &snapshot).expect("a call");
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by_key(|index| shuffle[*index]);
        asker.ended(NOW, batch.number, Ok(&answer(order)), None);
        for (index, question) in asked.iter().enumerate() {
            let vector = told(question).expect("a vector");
            prop_assert_eq!(vector.iter().position(|number| *number == 1.0), Some(index % 16));
        }
    }
}

#[test]
fn what_comes_while_calls_are_under_way_gathers_within_bounds() {
    let snapshot = usual();
    let (remote, mut asker) = (remote(&snapshot), Asker::default());
    let mut calls = Vec::new();
    for key in 0..MAX_CALLS {
        ask(&mut asker, NOW, &remote, key as u128).expect("asked");
        calls.push(next(&mut asker, NOW, &snapshot).expect("a call of its own"));
    }
    for key in MAX_CALLS..MAX_QUESTIONS {
        ask(&mut asker, NOW, &remote, key as u128).expect("asked");
    }
    assert_eq!(ask(&mut asker, NOW, &remote, 9_999).expect_err("too many"), Lack::Full);
    assert!(!asker.has_work() && next(&mut asker, NOW, &snapshot).is_none());
    asker.ended(NOW, calls[0].number, Ok(&answer([0])), None);
    let gathered = body(&next(&mut asker, NOW, &snapshot).expect("a call"));
    assert_eq!(gathered["input"].as_array().map(Vec::len), Some(MAX_TEXTS));
    assert_eq!(
        gathered["input"][0],
        format!("question {MAX_CALLS}"),
        "the first to come"
    );
    // Long ones fill a call sooner.
    let mut asker = Asker::default();
    for key in 0..32 {
        let text = "x".repeat(4 << 10);
        asker.ask(NOW, &remote, (key, text), 0).expect("asked");
    }
    let long = body(&next(&mut asker, NOW, &snapshot).expect("a call"));
    assert_eq!(
        long["input"].as_array().map(Vec::len),
        Some(MAX_BATCH_BYTES / (4 << 10))
    );
}

#[test]
fn whoever_has_gone_on_is_not_asked_for() {
    let snapshot = usual();
    let (remote, mut asker) = (remote(&snapshot), Asker::default());
    ask(&mut asker, NOW, &remote, 1).expect("asked");
    let later = NOW.plus_ms(100);
    assert!(next(&mut asker, later, &snapshot).is_none() && !asker.has_work());
    // What another embedder was asked, this one is not.
    let question = ask(&mut asker, NOW, &remote, 1).expect("asked");
    let other = self::snapshot("provider: p, model: other");
    let mut woken = Vec::new();
    assert!(asker.next(NOW, &other, &mut woken).is_none());
    assert_eq!((woken, told(&question)), (vec![1], Err(Lack::Failed(Why::Replaced))));
}

#[test]
fn an_answer_that_is_not_right_in_all_is_none() {
    let vectors = |all: &[Value]| {
        let all = all
            .iter()
            .enumerate()
            .map(|(index, vector)| json!({"index": index, "embedding": vector}));
        json!({"data": all.collect::<Vec<_>>()}).to_string()
    };
    let right = json!(vector(0));
    let base64_of_nan = "AADAfwAAwH8AAMB/AADAfwAAwH8AAMB/AADAfwAAwH8AAMB/AADAfwAAwH8AAMB/AADAfwAAwH8AAMB/AADAfw==";
    for wrong in [
        "{".to_owned(),
        "<html>busy</html>".to_owned(),
        json!({"data": []}).to_string(),
        json!({"error": {"message": "no"}}).to_string(),
        // Of another count, with one twice, or of none of the inputs.
        vectors(std::slice::from_ref(&right)),
        vectors(&[right.clone(), right.clone(), right.clone()]),
        json!({"data": [{"index": 0, "embedding": right}, {"index": 0, "embedding": right}]}).to_string(),
        json!({"data": [{"index": 0, "embedding": right}, {"index": 2, "embedding": right}]}).to_string(),
        // Of another length, of none, or no numbers.
        vectors(&[right.clone(), json!([1.0, 2.0])]),
        vectors(&[right.clone(), json!([])]),
        vectors(&[right.clone(), json!(vec![0.0; 16])]),
        vectors(&[right.clone(), json!(vec!["1"; 16])]),
        vectors(&[right.clone(), json!(base64_of_nan)]),
        vectors(&[right.clone(), json!(vec![1e39; 16])]),
    ] {
        let snapshot = usual();
        let (remote, mut asker) = (remote(&snapshot), Asker::default());
        let both = [1, 2].map(|key| ask(&mut asker, NOW, &remote, key).expect("asked"));
        let batch = next(&mut asker, NOW, &snapshot).expect("a call");
        asker.ended(NOW, batch.number, Ok(wrong.as_bytes()), None);
        for question in &both {
            let heard = told(question);
            assert!(matches!(heard, Err(Lack::Failed(Why::Answer(_)))), "{wrong}: {heard:?}");
        }
        assert_eq!(asker.counts.calls_failed, 1);
    }
}

#[test]
fn a_length_that_is_left_open_tells_vectors_apart() {
    let snapshot = snapshot("provider: p, model: e");
    let (remote, mut asker) = (remote(&snapshot), Asker::default());
    let question = ask(&mut asker, NOW, &remote, 1).expect("asked");
    let batch = next(&mut asker, NOW, &snapshot).expect("a call");
    assert_eq!(body(&batch).get("dimensions"), None);
    asker.ended(NOW, batch.number, Ok(&answer([0])), None);
    let vector = told(&question).expect("a vector");
    assert_ne!(remote.fingerprint_of(&vector), remote.fingerprint_of(&vector[..8]));
}

#[test]
fn a_provider_that_fails_or_is_late_is_left_alone_until_a_question_finds_it_well() {
    let snapshot = usual();
    let (remote, mut asker) = (remote(&snapshot), Asker::default());
    let mut changes = Vec::new();
    for (key, is_late) in [(1, false), (2, true), (3, false)] {
        let question = ask(&mut asker, NOW, &remote, key).expect("asked");
        let batch = next(&mut asker, NOW, &snapshot).expect("a call");
        if is_late {
            let at = NOW.plus_ms(100);
            assert_eq!(asker.late(at, &question), None);
            assert_eq!(asker.late(at, &question), None, "a call is late once");
            let ended = asker.ended(at, batch.number, Ok(&answer([0])), None);
            assert_eq!((ended.woken, ended.change), (vec![2], None));
            continue;
        }
        changes.push(asker.ended(NOW, batch.number, Err(Why::Status(429)), None).change);
    }
    assert_eq!(changes, [None, Some((Arc::from("p/e"), Change::Opened))]);
    assert_eq!(ask(&mut asker, NOW, &remote, 4).expect_err("left alone"), Lack::Resting);
    assert_eq!((asker.counts.resting, asker.counts.late), (1, 2));
    let rested = Tick(NOW.0 + COOLDOWN.0);
    ask(&mut asker, rested, &remote, 5).expect("it finds out");
    assert_eq!(
        ask(&mut asker, rested, &remote, 6).expect_err("one at a time"),
        Lack::Resting
    );
    let batch = next(&mut asker, rested, &snapshot).expect("a call");
    let ended = asker.ended(rested, batch.number, Ok(&answer([0])), None);
    assert_eq!(ended.change, Some((Arc::from("p/e"), Change::Closed)));
    ask(&mut asker, rested, &remote, 6).expect("it is well");
}

#[test]
fn who_waits_less_than_the_provider_may_take_says_nothing_of_it() {
    let snapshot = usual();
    let (remote, mut asker) = (remote(&snapshot), Asker::default());
    for key in 0..9 {
        let question = ask(&mut asker, NOW, &remote, key).expect("asked");
        // Sent at once, or behind calls that took long.
        let (sent, gone) = match key % 2 {
            0 => (NOW, NOW.plus_ms(99)),
            _ => (NOW.plus_ms(90), NOW.plus_ms(100)),
        };
        let batch = next(&mut asker, sent, &snapshot).expect("a call");
        assert_eq!(asker.late(gone, &question), None);
        asker.ended(gone, batch.number, Ok(&answer([0])), None);
    }
    assert_eq!(asker.counts.late, 9);
    // Nobody was there to see that these took longer.
    for (key, change) in [(10, None), (11, None), (12, Some(Change::Opened))] {
        ask(&mut asker, NOW, &remote, key).expect("it is well");
        let batch = next(&mut asker, NOW, &snapshot).expect("a call");
        let ended = asker.ended(NOW.plus_ms(100), batch.number, Ok(&answer([0])), None);
        assert_eq!(ended.change.map(|(_, change)| change), change);
    }
}

#[test]
fn a_text_that_is_refused_costs_nobody_else_a_vector() {
    for bad in [&[17][..], &[0, 5, 31], &[]] {
        let snapshot = usual();
        let (remote, mut asker) = (remote(&snapshot), Asker::default());
        let asked: Vec<_> = (0..32)
            .map(|key| ask(&mut asker, NOW, &remote, key).expect("asked"))
            .collect();
        let mut calls = 0;
        while let Some(batch) = next(&mut asker, NOW, &snapshot) {
            let texts = body(&batch)["input"].as_array().expect("a list").clone();
            let is_bad = |text: &Value| bad.iter().any(|bad| *text == format!("question {bad}"));
            let said = answer(0..texts.len());
            let said = match bad.is_empty() || texts.iter().any(is_bad) {
                true => Err(Why::Status(400)),
                false => Ok(&*said),
            };
            assert_eq!(asker.ended(NOW, batch.number, said, None).change, None);
            calls += 1;
        }
        for (key, question) in asked.iter().enumerate() {
            let is_refused = bad.is_empty() || bad.contains(&key);
            let refused = Err(Lack::Failed(Why::Status(400)));
            assert_eq!(told(question) == refused, is_refused, "{key} of {bad:?}");
        }
        assert!(calls <= 63 && !asker.has_work(), "{calls}");
        ask(&mut asker, NOW, &remote, 99).expect("it is well");
    }
    // Who waits no longer is not asked for again.
    let snapshot = usual();
    let (remote, mut asker) = (remote(&snapshot), Asker::default());
    let both = [1, 2].map(|key| ask(&mut asker, NOW, &remote, key).expect("asked"));
    let batch = next(&mut asker, NOW, &snapshot).expect("a call");
    asker.ended(NOW, batch.number, Err(Why::Status(422)), None);
    let same = ask(&mut asker, NOW, &remote, 2).expect("asked");
    assert!(Rc::ptr_eq(&same, &both[1]));
    assert!(next(&mut asker, NOW.plus_ms(100), &snapshot).is_none() && !asker.has_work());
}

const COOLDOWN: Tick = Tick(super::super::COOLDOWN_MS * MS);
