//! Calls that find every target at its limit: who waits, who goes first, who is told to come back. Whole exchanges that
//! share a shard.

mod rig;

use rig::{Did, Rig, dialled, document, header, key, reply, six};
use tollgate_config::{
    Document,
    document::{Overload, Priority, Retry},
};
use tollgate_engine::{
    Input, Local,
    routing::load::{ModelLoad, loads},
};

const CHAT: &str = r#"{"model":"gpt","messages":[{"role":"user","content":"hi"}]}"#;
const FINE: &str = "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: 2\n";

/// The model `gpt` with one call at a time for each of its targets, and room for two that wait; a key for each class.
fn narrow(targets: usize) -> Document {
    let mut document = document();
    let model = &mut document.models[0].1;
    model.targets.truncate(targets);
    model.tiers.clear();
    model.retry = Retry::default();
    model.overload = Some(Overload {
        min: 1,
        max: 1,
        queue: 2,
        max_queue_wait_ms: 1_000,
    });
    document.keys = Priority::ALL
        .into_iter()
        .map(|priority| {
            let (name, mut key) = key(priority.name(), &[]);
            key.priority = priority;
            (name, key)
        })
        .collect();
    document
}

/// Exchanges of one shard, by number; that is their name too.
struct Shard {
    local: Local,
    calls: Vec<Rig>,
}

impl Shard {
    fn new(document: Document, calls: usize) -> Shard {
        let first = Rig::new(document);
        let pinned = first.pinned.clone();
        let mut all = vec![first];
        all.resize_with(calls, || Rig::sharing(pinned.clone()));
        for (name, rig) in all.iter_mut().enumerate() {
            rig.exchange.set_name(name as u64);
        }
        Shard {
            local: Local::default(),
            calls: all,
        }
    }

    fn with(&mut self, call: usize, feed: impl FnOnce(&mut Rig) -> Vec<Did>) -> Vec<Did> {
        let rig = &mut self.calls[call];
        std::mem::swap(&mut rig.local, &mut self.local);
        let did = feed(rig);
        std::mem::swap(&mut rig.local, &mut self.local);
        did
    }

    fn chat(&mut self, call: usize, key: &str) -> Vec<Did> {
        self.chat_with(call, key, "")
    }

    fn chat_with(&mut self, call: usize, key: &str, more: &str) -> Vec<Did> {
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\nhost: gate\nauthorization: Bearer secret-{key}\n{more}content-type: \
             application/json\n"
        );
        self.with(call, |rig| rig.request(&head, CHAT.as_bytes()))
    }

    /// The call is answered and over; what its end led to.
    fn finish(&mut self, call: usize) -> Vec<Did> {
        self.with(call, |rig| rig.connected(1));
        self.with(call, |rig| rig.answer(1, FINE));
        let mut did = self.with(call, |rig| rig.body(1, "{}"));
        did.extend(self.with(call, |rig| rig.end(1)));
        did
    }

    fn turn(&mut self, call: usize) -> Vec<Did> {
        self.with(call, |rig| rig.feed(Input::Turn))
    }

    fn load(&self) -> ModelLoad {
        let loads = loads(&self.calls[0].pinned.snapshot, &self.local.routing);
        assert_eq!(loads.len(), 1, "of models that have `overload`");
        loads.into_iter().next().expect("one")
    }
}

fn turns(did: &[Did]) -> Vec<u64> {
    let turn = |did: &Did| match did {
        Did::Turn(of) => Some(*of),
        _ => None,
    };
    did.iter().filter_map(turn).collect()
}

#[track_caller]
fn assert_shed(did: &[Did]) {
    let (status, lines, body) = reply(did);
    assert_eq!(status, 503, "{body}");
    assert_eq!(header(&lines, "retry-after"), Some("1"), "{lines}");
    assert!(body.contains("overloaded") && body.contains("gpt"), "{body}");
    assert!(did.contains(&Did::Settle));
}

#[test]
fn a_target_at_its_limit_is_passed_over_while_another_has_room() {
    let mut shard = Shard::new(narrow(2), 3);
    assert_eq!(dialled(&shard.chat(0, "normal"))[0].0, "one");
    assert_eq!(dialled(&shard.chat(1, "normal"))[0].0, "two");
    assert_eq!(shard.chat(2, "normal"), [], "it waits");
    let ended = shard.finish(1);
    assert_eq!(turns(&ended), [2]);
    assert_eq!(dialled(&shard.turn(2))[0].0, "two", "where room came free");
}

#[test]
fn without_overload_every_call_goes_up_at_once() {
    let mut document = narrow(1);
    document.models[0].1.overload = None;
    let mut shard = Shard::new(document, 50);
    for call in 0..50 {
        assert_eq!(dialled(&shard.chat(call, "low")).len(), 1);
    }
}

#[test]
fn room_that_came_free_is_kept_for_the_call_whose_turn_it_is() {
    let mut shard = Shard::new(narrow(1), 4);
    shard.chat(0, "normal");
    shard.chat(1, "normal");
    let ended = shard.finish(0);
    assert_eq!(turns(&ended), [1]);
    assert_eq!(shard.chat(2, "high"), [], "nobody takes it before it was told");
    assert_eq!(dialled(&shard.turn(1)).len(), 1);
    assert_eq!(turns(&shard.finish(1)), [2]);
    // The one it is kept for leaves: the next has it.
    shard.chat(3, "low");
    let left = shard.with(2, |rig| rig.feed(Input::ClientGone));
    assert_eq!(turns(&left), [3]);
    assert_eq!(dialled(&shard.turn(3)).len(), 1);
}

#[test]
fn a_high_class_goes_in_front_and_the_last_of_the_lowest_makes_room_for_it() {
    let mut shard = Shard::new(narrow(1), 6);
    shard.chat(0, "normal");
    shard.chat(1, "low");
    shard.chat(2, "low");
    assert_shed(&shard.chat(3, "low"));
    let did = shard.chat(4, "high");
    assert_eq!(turns(&did), [2], "the one that came last is turned away");
    assert_shed(&shard.turn(2));
    assert_eq!(turns(&shard.chat(5, "high")), [1]);
    assert_shed(&shard.turn(1));
    assert_eq!(turns(&shard.finish(0)), [4]);
    shard.turn(4);
    assert_eq!(turns(&shard.finish(4)), [5]);
}

#[test]
fn who_waits_too_long_is_told_to_come_back_low_ones_sooner() {
    for (key, ms) in [("low", 250), ("normal", 1_000), ("high", 1_000)] {
        let mut shard = Shard::new(narrow(1), 2);
        shard.chat(0, "normal");
        shard.chat(1, key);
        let began = shard.calls[1].now;
        let did = shard.with(1, Rig::expire);
        assert_shed(&did);
        assert_eq!(shard.calls[1].now.ns_since(began), ms * 1_000_000, "{key}");
        assert_eq!(shard.calls[1].exchange.record().rejected, Some("overloaded"));
        assert!(turns(&shard.finish(0)).is_empty(), "its place is free");
    }
}

#[test]
fn a_client_that_leaves_leaves_the_queue_at_once() {
    let mut shard = Shard::new(narrow(1), 3);
    shard.chat(0, "normal");
    shard.chat(1, "normal");
    shard.chat(2, "normal");
    assert_eq!(shard.load().waiting, 2);
    let did = shard.with(1, |rig| rig.feed(Input::ClientGone));
    assert_eq!(did, [Did::Settle, Did::Cut]);
    assert_eq!(shard.load().waiting, 1);
    assert_eq!(turns(&shard.finish(0)), [2]);
    assert_eq!(shard.turn(1), [], "a turn that comes too late is nobody's");
}

#[test]
fn a_header_lowers_the_class_of_a_key_and_never_lifts_it() {
    let mut shard = Shard::new(narrow(1), 5);
    shard.chat(0, "normal");
    shard.chat_with(1, "high", "x-tollgate-priority: low\n");
    shard.chat_with(2, "low", "x-tollgate-priority: high\n");
    assert_eq!(turns(&shard.chat(3, "normal")), [2], "both are low, and it came last");
    let (status, _, body) = reply(&shard.chat_with(4, "high", "x-tollgate-priority: urgent\n"));
    assert_eq!(status, 400);
    assert!(
        body.contains("'x-tollgate-priority' must be high, normal or low"),
        "{body}"
    );
}

#[test]
fn every_dialect_says_it_in_its_own_words() {
    let mut document = six();
    for (_, model) in &mut document.models {
        model.overload = Some(Overload {
            min: 1,
            max: 1,
            queue: 0,
            ..Overload::default()
        });
    }
    let chat =
        |model: &str| format!(r#"{{"model":"{model}","max_tokens":9,"messages":[{{"role":"user","content":"hi"}}]}}"#);
    let contents = r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#.to_owned();
    let converse = r#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#.to_owned();
    let responses = r#"{"model":"openai-responses","input":"hi"}"#.to_owned();
    for (path, body, says) in [
        ("/v1/chat/completions", chat("openai"), r#""type":"server_error""#),
        ("/v1/responses", responses, r#""code":"overloaded""#),
        ("/v1/messages", chat("anthropic"), r#""type":"overloaded_error""#),
        (
            "/v1beta/models/gemini:generateContent",
            contents,
            r#""status":"UNAVAILABLE""#,
        ),
        ("/v2/chat", chat("cohere"), r#""message":"#),
        ("/model/bedrock/converse", converse, r#""message":"#),
    ] {
        let mut shard = Shard::new(document.clone(), 2);
        let head = format!("POST {path} HTTP/1.1\nhost: gate\nauthorization: Bearer secret-all\n");
        let first = shard.with(0, |rig| rig.request(&head, body.as_bytes()));
        assert_eq!(dialled(&first).len(), 1, "{path}: {first:?}");
        let (status, lines, said) = reply(&shard.with(1, |rig| rig.request(&head, body.as_bytes())));
        assert_eq!(
            (status, header(&lines, "retry-after")),
            (503, Some("1")),
            "{path}: {said}"
        );
        assert!(said.contains(says) && said.contains("is overloaded"), "{path}: {said}");
    }
}

#[test]
fn a_target_that_says_it_has_too_much_gets_less_at_once() {
    for status in [429, 503, 529] {
        let mut document = narrow(1);
        document.models[0].1.retry.attempts = 1;
        document.models[0].1.overload = Some(Overload::default());
        let mut shard = Shard::new(document, 10);
        assert_eq!(
            shard.load().targets[0].limit,
            20,
            "what a target gets before anything is known"
        );
        for call in 0..10 {
            shard.chat(call, "normal");
            shard.with(call, |rig| rig.connected(1));
        }
        shard.with(0, |rig| {
            rig.now = rig.now.plus_ms(50);
            rig.answer(1, &format!("HTTP/1.1 {status} X\ncontent-length: 0\n"))
        });
        assert_eq!(shard.load().targets[0].limit, 7, "{status}: ten were under way");
    }
}

#[test]
fn a_target_that_does_not_answer_in_time_gets_less_and_who_waits_goes_elsewhere() {
    let mut shard = Shard::new(narrow(2), 3);
    shard.chat(0, "normal");
    shard.with(0, |rig| rig.connected(1));
    shard.chat(1, "normal");
    shard.with(1, |rig| rig.connected(1));
    shard.chat(2, "high");
    // The first goes on to the second target, which is full: it waits behind nobody of its class.
    let did = shard.with(0, Rig::expire);
    assert_eq!(turns(&did), [2], "the room it leaves is for who waited");
    assert_eq!(dialled(&did), []);
    assert_eq!(dialled(&shard.turn(2))[0].0, "one");
    assert_eq!(turns(&shard.finish(1)), [0]);
    assert_eq!(dialled(&shard.turn(0))[0].0, "two");
}

#[test]
fn shedding_is_told_when_it_begins_and_when_it_is_over() {
    let mut shard = Shard::new(narrow(1), 6);
    shard.chat(0, "normal");
    let told = |shard: &Shard, call: usize| -> Vec<Option<u64>> {
        shard.calls[call].out.sheds.iter().map(|shed| shed.ended).collect()
    };
    for call in 1..=2 {
        shard.chat(call, "low");
        assert_eq!(told(&shard, call), []);
    }
    shard.chat(3, "low");
    assert_eq!(told(&shard, 3), [None]);
    shard.chat(4, "low");
    assert_eq!(told(&shard, 4), [], "once, not for each call");
    shard.with(0, |rig| {
        rig.now = rig.now.plus_ms(5_000);
        rig.failed(1, tollgate_engine::exchange::UpstreamFault::Connect)
    });
    assert_eq!(told(&shard, 0), [Some(2)]);
}
