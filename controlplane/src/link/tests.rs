//! The link against a data plane that only talks: answers find their asks, descriptors arrive, ends are noticed.

use std::{net::TcpListener, os::fd::OwnedFd, time::Duration};

use tokio::sync::mpsc;
use tollgate_config::link::{AnswerBody, AskBody};

use super::{ANSWER_TIMEOUT, Link, LinkError};
use crate::testing::{Fake, Mishap, SHARDS};

async fn linked() -> (
    tempfile::TempDir,
    Fake,
    Link,
    mpsc::Receiver<tollgate_config::link::Event>,
) {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake::default();
    fake.start(folder.path());
    let (events, received) = mpsc::channel(16);
    let link = Link::connect(&folder.path().join("dataplane.sock"), events)
        .await
        .unwrap();
    (folder, fake, link, received)
}

#[tokio::test]
async fn answers_find_their_asks_and_events_come_between() {
    let (_folder, _fake, link, mut events) = linked().await;
    assert_eq!(link.hello().shards, SHARDS);
    let (metrics, status) = tokio::join!(
        link.ask(AskBody::Metrics, ANSWER_TIMEOUT),
        link.ask(AskBody::Status, ANSWER_TIMEOUT)
    );
    assert!(matches!(metrics, Ok(AnswerBody::Metrics { .. })));
    assert!(matches!(status, Ok(AnswerBody::Status(_))));
    assert_eq!(events.recv().await.unwrap().kind, "fake");
}

#[tokio::test]
async fn descriptors_travel_both_ways_and_many_at_once() {
    let (_folder, fake, link, _events) = linked().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // More than one message holds.
    let sockets: Vec<OwnedFd> = (0..300).map(|_| listener.try_clone().unwrap().into()).collect();
    link.hand_over("public", address, &sockets).await.unwrap();
    assert_eq!(fake.world.lock().unwrap().listeners[0].2.len(), 300);
    link.hand_over("second", address, &sockets[..1]).await.unwrap();
    let back = link.take_listeners().await.unwrap();
    let counts: Vec<(&str, usize)> = back
        .iter()
        .map(|(name, _, sockets)| (name.as_str(), sockets.len()))
        .collect();
    assert_eq!(counts, [("public", 300), ("second", 1)]);
    let first = TcpListener::from(back[1].2[0].try_clone().unwrap());
    assert_eq!(first.local_addr().unwrap(), address);
    // The link is still in step.
    assert!(link.ask(AskBody::Metrics, ANSWER_TIMEOUT).await.is_ok());
}

#[tokio::test]
async fn large_frames_arrive_whole() {
    let (_folder, fake, link, _events) = linked().await;
    let document = serde_json::json!({"x": "y".repeat(3_000_000)});
    let prepare = AskBody::Prepare {
        revision: 1,
        document: document.clone(),
        keys: Vec::new(),
    };
    assert!(matches!(
        link.ask(prepare, ANSWER_TIMEOUT).await,
        Ok(AnswerBody::Prepared { revision: 1 })
    ));
    assert_eq!(fake.world.lock().unwrap().prepared, Some((1, document)));
}

#[tokio::test]
async fn an_end_wakes_those_who_wait() {
    let (_folder, fake, link, _events) = linked().await;
    fake.mishap(Mishap::DieAtPrepare);
    let prepare = AskBody::Prepare {
        revision: 1,
        document: serde_json::Value::Null,
        keys: Vec::new(),
    };
    assert!(matches!(link.ask(prepare, ANSWER_TIMEOUT).await, Err(LinkError::Cut)));
    tokio::time::timeout(Duration::from_secs(10), link.closed())
        .await
        .unwrap();
    assert!(link.ask(AskBody::Status, ANSWER_TIMEOUT).await.is_err());
}

#[tokio::test]
async fn what_a_newer_data_plane_says_is_passed_over_and_the_link_stands() {
    let (_folder, fake, link, _events) = linked().await;
    assert!(
        link.hello()
            .difference()
            .is_some_and(|said| said.contains("version fake"))
    );
    fake.mishap(Mishap::SaysNews);
    assert!(matches!(
        link.ask(AskBody::Metrics, ANSWER_TIMEOUT).await,
        Ok(AnswerBody::Metrics { .. })
    ));
    let odd = link.ask(AskBody::Status, ANSWER_TIMEOUT).await;
    assert!(
        matches!(&odd, Err(LinkError::Failed(reason)) if reason.contains("does not know")),
        "{odd:?}"
    );
    assert!(link.ask(AskBody::Metrics, ANSWER_TIMEOUT).await.is_ok());
}

#[tokio::test]
async fn a_data_plane_that_cuts_what_it_does_not_know_is_not_asked_it() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake::default();
    fake.mishap(Mishap::IsOld);
    fake.start(folder.path());
    let (events, _received) = mpsc::channel(16);
    let link = Link::connect(&folder.path().join("dataplane.sock"), events)
        .await
        .unwrap();
    let news = AskBody::Unknown { ask: "news".to_owned() };
    let refused = link.ask(news, ANSWER_TIMEOUT).await;
    assert!(
        matches!(&refused, Err(LinkError::Unknown { version }) if version == "fake"),
        "{refused:?}"
    );
    assert!(
        link.ask(AskBody::Status, ANSWER_TIMEOUT).await.is_ok(),
        "the link stands"
    );
}
