//! An exchange whose own code fails half-way leaves nothing behind: no counter, no limit, no grant and no open record.

mod rig;

use rig::{Did, NOW_UNIX_MS, Rig, dialled, document, price_list, sent};
use tollgate_config::{
    Document,
    document::{Grant, Granted, Hedge, HedgeAfter, Limit, Overload, Period, Retry, Unit, Window},
    prices::{Class, ServiceTier},
};
use tollgate_engine::{
    limits::{Report, report},
    record::Outcome,
};

const CHAT: &str = r#"{"model":"gpt","max_tokens":50,"messages":[{"role":"user","content":"hi"}]}"#;
const STREAM: &str = r#"{"model":"gpt","stream":true,"max_tokens":50,"messages":[{"role":"user","content":"hi"}]}"#;
const EVENTS: &str = "HTTP/1.1 200 OK\ncontent-type: text/event-stream\ntransfer-encoding: chunked\n";
const WORD: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\n";
const TOLD: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":4}}\n\n";

/// The model `gpt` takes one call at a time at each of its targets, and its key is limited in all there is.
fn narrow(targets: usize) -> Document {
    let mut document = document();
    let price = |class| (ServiceTier::Standard, class, 1_000_000);
    for (_, provider) in &mut document.providers[..2] {
        provider.prices = price_list(&[price(Class::Input), price(Class::Output)]);
        provider.grants = vec![Grant {
            of: Granted::Tokens,
            most: 100,
            per_ms: 60_000,
        }];
    }
    let model = &mut document.models[0].1;
    model.targets.truncate(targets);
    model.retry = Retry::default();
    model.overload = Some(Overload {
        min: 1,
        max: 1,
        queue: 2,
        max_queue_wait_ms: 1_000,
    });
    let limit = |unit, window| Limit::new(unit, 1_000_000, window);
    let month = Window::Calendar(Period::Month);
    document.keys[0].1.limits = vec![
        limit(Unit::Requests, month),
        limit(Unit::InputTokens, month),
        limit(Unit::OutputTokens, month),
        limit(Unit::Budget, month),
        limit(Unit::Concurrent, Window::None),
    ];
    document
}

fn used(rig: &Rig) -> Vec<u64> {
    let (snapshot, keys) = (&rig.pinned.snapshot, &rig.pinned.keys);
    let all = report((snapshot, keys), &rig.local.limits.balances, NOW_UNIX_MS, |_, _| true);
    all.into_iter().map(|told: Report| told.level.used).collect()
}

/// A further exchange of the same shard.
fn beside(rig: &mut Rig) -> Rig {
    let mut other = Rig::sharing(rig.pinned.clone());
    other.local = std::mem::take(&mut rig.local);
    other.now = rig.now;
    other
}

#[test]
fn wherever_it_was_its_target_has_room_again_and_what_it_used_is_paid() {
    let prompt = CHAT.len().div_ceil(4) as u64;
    let streamed = STREAM.len().div_ceil(4) as u64;
    type Step = fn(&mut Rig);
    let steps: [(&str, &str, Step, [u64; 5], u16); 6] = [
        ("dialled", CHAT, |_| {}, [0, 0, 0, 0, 0], 500),
        (
            "sent",
            CHAT,
            |rig| drop(rig.connected(1)),
            [1, prompt, 0, prompt * 1_000, 0],
            500,
        ),
        (
            "refused",
            CHAT,
            |rig| {
                rig.connected(1);
                rig.answer(
                    1,
                    "HTTP/1.1 400 No\ncontent-type: application/json\ncontent-length: 9\n",
                );
            },
            [1, 0, 0, 0, 0],
            400,
        ),
        (
            "begun",
            STREAM,
            |rig| {
                rig.connected(1);
                rig.answer(1, EVENTS);
            },
            [1, streamed, 0, streamed * 1_000, 0],
            200,
        ),
        (
            "said",
            STREAM,
            |rig| {
                rig.connected(1);
                rig.answer(1, EVENTS);
                rig.body(1, WORD);
                rig.body(1, WORD);
            },
            [1, streamed, 2, (streamed + 2) * 1_000, 0],
            200,
        ),
        (
            "told",
            STREAM,
            |rig| {
                rig.connected(1);
                rig.answer(1, EVENTS);
                rig.body(1, WORD);
                rig.body(1, TOLD);
            },
            [1, 10, 4, 14_000, 0],
            200,
        ),
    ];
    for (name, body, step, paid, status) in steps {
        let mut rig = Rig::new(narrow(1));
        rig.chat(body);
        step(&mut rig);
        assert_eq!(used(&rig)[4], 1, "{name}");
        assert_eq!(rig.panic(), [Did::Settle], "{name}");
        let record = rig.exchange.record();
        assert_eq!((record.outcome, record.status), (Outcome::Crashed, status), "{name}");
        assert_eq!(record.estimated, paid[1] > 0, "{name}");
        let tokens = record
            .usage
            .map_or((0, 0), |usage| (usage.all_input(), usage.all_output()));
        assert_eq!(tokens, (paid[1], paid[2]), "{name}");
        assert_eq!(used(&rig), paid, "{name}");
        assert_eq!(rig.abandon(), [], "{name}: once is enough");
        assert_eq!(rig.exchange.deadline(), None, "{name}");
        assert_eq!(rig.connected(1), [], "{name}: it takes nothing more");
        let mut next = beside(&mut rig);
        assert_eq!(dialled(&next.chat(CHAT)).len(), 1, "{name}: there is room again");
    }
}

#[test]
fn an_end_is_not_undone() {
    let mut rig = Rig::new(narrow(1));
    rig.chat(CHAT);
    rig.failed(1, tollgate_engine::exchange::UpstreamFault::Connect);
    while rig.exchange.deadline().is_some() {
        rig.expire();
    }
    let (outcome, paid) = (rig.exchange.record().outcome, used(&rig));
    assert_eq!(rig.abandon(), []);
    assert_eq!((rig.exchange.record().outcome, used(&rig)), (outcome, paid));
}

#[test]
fn of_two_that_were_asked_neither_stays_busy_and_what_never_went_up_is_granted_again() {
    let mut document = narrow(2);
    document.providers[0].1.grants.clear();
    document.models[0].1.hedge = Some(Hedge {
        after: HedgeAfter::Delay { ms: 100 },
        max_extra_percent: 100,
    });
    let mut rig = Rig::new(document);
    rig.chat(CHAT);
    rig.connected(1);
    assert_eq!(dialled(&rig.expire())[0].0, "two");
    assert_eq!(rig.panic(), [Did::Settle]);
    let attempts: Vec<usize> = rig.exchange.attempts().map(|(provider, _)| provider).collect();
    assert_eq!(attempts, [0, 1]);
    // 19 tokens of prompt and 50 of answer were expected of the second; 100 are granted.
    let mut first = beside(&mut rig);
    assert_eq!(dialled(&first.chat(CHAT))[0].0, "one");
    let mut second = beside(&mut first);
    assert_eq!(dialled(&second.chat(CHAT))[0].0, "two");
}

#[test]
fn who_waits_behind_it_goes_on() {
    let mut rig = Rig::new(narrow(1));
    rig.chat(CHAT);
    let mut waiting = beside(&mut rig);
    waiting.exchange.set_name(7);
    assert_eq!(waiting.chat(CHAT), []);
    std::mem::swap(&mut rig.local, &mut waiting.local);
    assert_eq!(rig.panic(), [Did::Turn(7), Did::Settle]);
    // The one whose turn it is fails before it has it: the next one's it is.
    let mut last = beside(&mut rig);
    last.exchange.set_name(8);
    assert_eq!(last.chat(CHAT), []);
    std::mem::swap(&mut last.local, &mut waiting.local);
    assert_eq!(waiting.panic(), [Did::Turn(8), Did::Settle]);
    let prompt = CHAT.len().div_ceil(4) as u64;
    assert_eq!(
        used(&waiting)[..2],
        [1, prompt],
        "what the last expects: nothing of the first went up"
    );
    std::mem::swap(&mut last.local, &mut waiting.local);
    let did = last.feed(tollgate_engine::Input::Turn);
    assert_eq!(dialled(&did).len(), 1);
    assert_eq!(
        sent(&last.connected(1)).1.len(),
        CHAT.len() + "gpt-real".len() - "gpt".len()
    );
}
