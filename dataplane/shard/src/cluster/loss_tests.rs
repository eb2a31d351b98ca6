//! What a real store may lose, and how: the last writes where a replica takes a master's place, nothing where a slot moves from
//! one server of a Redis Cluster to another, a server that ends. The script alone, as nodes would call it.

#![allow(clippy::disallowed_methods)] // Servers are started here, and waited for.

use tollgate_config::document::Topology;
use tollgate_engine::limits::cluster::{Answer, Entry, Heard, Kind, MOST_NAMED, Reply, Request};

use super::{
    resp::Value,
    store::{Store, Way},
    tests::{Node, Server, entry, wait},
};

fn yearly(used: u64, told: u64, rest: u64, need: u64) -> Entry {
    entry(Kind::Calendar, 100, (used, told, rest), need)
}

/// Of the last answer, in this epoch: what a node tells again where it is lost.
fn again(entry: Entry, epoch: u64, answer: &Answer) -> Entry {
    let by_name: u64 = answer.named.iter().map(|(_, used)| used).sum();
    Entry {
        claim: answer.used,
        heard: Some(Heard {
            epoch,
            number: answer.number,
            named: answer.named.clone(),
            apart: answer.used - entry.told - by_name,
        }),
        ..entry
    }
}

fn numbered(number: u64) -> Node {
    Node::new(number << 40)
}

fn call(store: &mut Store, node: &mut Node, peers: &[u64], entry: Entry) -> Reply {
    let request = Request {
        peers: peers.to_vec(),
        ..node.request(vec![entry])
    };
    store.call(&request).expect("an answer")
}

#[test]
fn nothing_is_granted_until_all_who_were_there_have_told_and_then_what_they_used_is_known_again() {
    let server = Server::start(&[]).await_ready();
    let mut store = Store::new(server.way());
    let (mut one, mut two) = (numbered(1), numbered(2));
    assert_eq!(one.tell(&mut store, yearly(0, 0, 0, 50)).granted, 50);
    two.tell(&mut store, yearly(20, 0, 0, 0));
    let first = one.tell(&mut store, yearly(30, 0, 20, 0));
    assert_eq!((first.used, first.named.as_slice()), (50, &[(2 << 40, 20)][..]));
    // Twelve of those that the first has heard of come back, which only the second knows.
    let second = two.tell(&mut store, yearly(8, 20, 0, 0));
    assert_eq!(second.used, 38);
    let peers = match call(&mut store, &mut two, &[], yearly(8, 8, 0, 0)) {
        Reply::Done { peers, .. } => peers,
        other => panic!("{other:?}"),
    };
    assert_eq!(peers, [1 << 40, 2 << 40]);
    server.ask(&["FLUSHALL"]).expect("done");

    let Reply::Epoch(epoch) = call(&mut store, &mut one, &peers, yearly(30, 30, 20, 10)) else {
        panic!("all is lost")
    };
    let asks = again(yearly(30, 30, 20, 10), one.epoch, &first);
    one.epoch = epoch;
    match call(&mut store, &mut one, &peers, asks) {
        Reply::Done { closed_ms, answers, .. } => {
            assert!(closed_ms > 0, "the second has not told");
            assert_eq!(
                (answers[0].granted, answers[0].used, answers[0].starved),
                (0, 50, false)
            );
        }
        other => panic!("{other:?}"),
    }
    let tells = again(yearly(8, 8, 0, 0), two.epoch, &second);
    two.epoch = epoch;
    let told = two.tell(&mut store, tells);
    assert_eq!(told.used, 38, "what each used, and no more");
    assert_eq!(told.named, [(1 << 40, 30)]);
    let granted = one.tell(&mut store, yearly(30, 30, 20, 42));
    assert_eq!((granted.used, granted.granted, granted.pool), (38, 42, 0));

    // Who leaves is not waited for.
    let leaves = Request {
        leaves: true,
        ..two.request(vec![yearly(8, 8, 0, 0)])
    };
    match store.call(&leaves) {
        Ok(Reply::Done { peers, nodes, .. }) => assert_eq!((peers, nodes), (vec![1 << 40], 1)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_replica_that_takes_the_masters_place_grants_nothing_before_it_was_told_what_it_lacks() {
    let master = Server::start(&[]).await_ready();
    let port = master.port.to_string();
    let mut direct = Store::new(master.way());
    let (mut one, mut two) = (numbered(1), numbered(2));
    assert_eq!(one.tell(&mut direct, yearly(0, 0, 0, 10)).granted, 10);
    assert_eq!(two.tell(&mut direct, yearly(0, 0, 0, 1)).granted, 1);
    let replica = Server::start(&["--replicaof", "127.0.0.1", &port]).await_ready();
    wait("the replica to have it", || {
        let info = text(replica.ask(&["INFO", "replication"]));
        info.contains("master_link_status:up").then_some(())
    });
    let sentinel = Server::with(|_, folder| {
        let file = folder.join("sentinel.conf");
        let text = format!(
            "sentinel monitor main 127.0.0.1 {port} 1\nsentinel down-after-milliseconds main 500\n\
             sentinel failover-timeout main 3000\n"
        );
        std::fs::write(&file, text).expect("written");
        vec![file.display().to_string(), "--sentinel".to_owned()]
    })
    .await_ready();
    wait("the sentinel to know of it", || {
        match sentinel.ask(&["SENTINEL", "replicas", "main"])? {
            Value::List(known) => (!known.is_empty()).then_some(()),
            _ => None,
        }
    });
    let way = Way {
        topology: Topology::Sentinel {
            master: "main".to_owned(),
            password: None,
        },
        ..sentinel.way()
    };
    let mut stores = [Store::new(way.clone()), Store::new(way)];
    // From here on it hears nothing: a grant that the first has and the replica has not.
    replica.ask(&["REPLICAOF", "127.0.0.1", "1"]).expect("done");
    let last = one.tell(&mut stores[0], yearly(0, 0, 10, 60));
    assert_eq!(last.granted, 60);
    master.kill();
    let mut answered = None;
    wait("the replica to be the master", || {
        let request = two.request(vec![yearly(0, 0, 1, 80)]);
        answered = stores[1].call(&request).ok();
        answered.is_some().then_some(())
    });
    let Some(Reply::Epoch(epoch)) = answered else {
        panic!("eighty more are not there: {answered:?}")
    };
    (one.epoch, two.epoch) = (epoch, epoch);
    match call(&mut stores[1], &mut two, &[], yearly(0, 0, 1, 80)) {
        Reply::Done { closed_ms, answers, .. } => {
            assert!(closed_ms > 0, "the first was there");
            assert_eq!(answers[0].granted, 0);
        }
        other => panic!("{other:?}"),
    }
    wait("the first to reach it", || {
        stores[0].call(&one.request(vec![yearly(0, 0, 70, 0)])).ok()
    });
    let two_asks = two.tell(&mut stores[1], yearly(0, 0, 1, 80));
    assert_eq!((two_asks.granted, two_asks.pool, two_asks.starved), (0, 29, true));
    assert_eq!(two.tell(&mut stores[1], yearly(0, 0, 1, 29)).granted, 29);
}

/// Three servers, of which two have half of the slots each; the third says with one of them who is gone.
fn cluster() -> [Server; 3] {
    let start = |arguments: &[&str]| Server::start(arguments).await_ready();
    let arguments = [
        "--cluster-enabled",
        "yes",
        "--cluster-node-timeout",
        "1000",
        "--cluster-require-full-coverage",
        "no",
    ];
    let nodes = [(); 3].map(|()| start(&arguments));
    let ranges = [["0", "8191"], ["8192", "16382"], ["16383", "16383"]];
    for (node, range) in nodes.iter().zip(ranges) {
        node.ask(&["CLUSTER", "ADDSLOTSRANGE", range[0], range[1]])
            .expect("done");
    }
    for node in &nodes[1..] {
        let port = node.port.to_string();
        nodes[0].ask(&["CLUSTER", "MEET", "127.0.0.1", &port]).expect("done");
    }
    for node in &nodes {
        wait("the cluster", || {
            let info = text(node.ask(&["CLUSTER", "INFO"]));
            let is_whole = info.contains("cluster_slots_assigned:16384") && info.contains("cluster_state:ok");
            is_whole.then_some(())
        });
    }
    nodes
}

fn text(value: Option<Value>) -> String {
    match value {
        Some(Value::Text(text)) => String::from_utf8(text).expect("ascii"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn slots_that_move_take_what_they_hold_along_and_a_server_that_ends_takes_its_own_alone() {
    let nodes = cluster();
    let way = Way {
        topology: Topology::Cluster,
        servers: nodes.iter().map(|node| ("127.0.0.1".to_owned(), node.port)).collect(),
        ..nodes[0].way()
    };
    let mut store = Store::new(way);
    // Of each server's slots one group.
    let slot_of = |group: usize| {
        let key = format!("{{test:{group}}}:group");
        match nodes[0].ask(&["CLUSTER", "KEYSLOT", &key]) {
            Some(Value::Number(slot)) => slot,
            other => panic!("{other:?}"),
        }
    };
    let group = |half: bool| {
        (0..16)
            .find(|group| (slot_of(*group) < 8192) == half)
            .expect("one of sixteen")
    };
    let (low, high) = (group(true), group(false));
    let mut all = [low, high].map(|group| {
        let mut node = numbered(1);
        node.group = group;
        node
    });
    for node in &mut all {
        assert_eq!(node.tell(&mut store, yearly(0, 0, 0, 10)).granted, 10);
    }
    let ids = nodes.each_ref().map(|node| text(node.ask(&["CLUSTER", "MYID"])));
    let slot = slot_of(low).to_string();
    nodes[1]
        .ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &ids[0]])
        .expect("done");
    nodes[0]
        .ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &ids[1]])
        .expect("done");
    // Half of the keys are there and half here: nobody answers for them, and nothing is counted twice.
    let port = nodes[1].port.to_string();
    let move_key = |key: &str| {
        let moved = nodes[0].ask(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]);
        assert!(matches!(&moved, Some(Value::Text(said)) if said == b"OK"), "{moved:?}");
    };
    move_key(&format!("{{test:{low}}}:group"));
    let split = store.call(&all[0].request(vec![yearly(0, 0, 10, 5)]));
    assert!(split.as_ref().is_err_and(|why| why.contains("TRYAGAIN")), "{split:?}");
    move_key(&format!("{{test:{low}}}:{:016x}:3", 7));
    for node in &nodes {
        node.ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &ids[1]]).expect("done");
    }
    // Another server is another epoch.
    let told = wait("the new owner", || {
        let request = all[0].request(vec![yearly(4, 0, 6, 50)]);
        match store.call(&request).ok()? {
            Reply::Epoch(epoch) => {
                all[0].epoch = epoch;
                None
            }
            Reply::Done { mut answers, .. } => Some(answers.remove(0)),
            Reply::Stale(_) => panic!("nobody was quicker"),
        }
    });
    assert_eq!(
        (told.used, told.granted),
        (4, 50),
        "with what was granted before the move"
    );
    let told = all[0].tell(&mut store, yearly(9, 4, 51, 41));
    assert_eq!((told.used, told.granted, told.starved), (9, 0, true), "forty are left");

    // The first server ends: what the second has goes on.
    let [first, second, third] = nodes;
    first.kill();
    for node in &mut all {
        wait("an answer of the server that is left", || {
            store.call(&node.request(vec![])).ok()
        });
    }
    assert_eq!(all[1].tell(&mut store, yearly(10, 0, 0, 1)).used, 10);
    drop((second, third));
}

/// What a limit's hash says, as a server has it.
fn kept(server: &Server, field: &str) -> Option<String> {
    match server.ask(&["HGET", "{test:0}:0000000000000007:3", field]) {
        Some(Value::Text(text)) => String::from_utf8(text).ok(),
        _ => None,
    }
}

#[test]
fn of_what_nodes_had_heard_the_latest_counts_and_each_node_once() {
    let server = Server::start(&[]).await_ready();
    let mut store = Store::new(server.way());
    let [mut one, mut two, mut three] = [1, 2, 3].map(numbered);
    for (node, used) in [(&mut one, 10), (&mut two, 20), (&mut three, 30)] {
        node.tell(&mut store, yearly(used, 0, 0, 0));
    }
    let early = one.tell(&mut store, yearly(10, 10, 0, 0));
    three.tell(&mut store, yearly(34, 30, 0, 0));
    let late = two.tell(&mut store, yearly(20, 20, 0, 0));
    let then = one.epoch;
    let tells_early = again(yearly(11, 10, 0, 0), then, &early);
    let tells_late = again(yearly(19, 20, 0, 0), then, &late);
    let both = [1 << 40, 2 << 40];
    // Lost again and again, and told by them in either order, or by one of them before it is lost once more; the third is gone.
    for order in [&[0, 1][..], &[1, 0], &[0], &[1], &[0, 1]] {
        server.ask(&["FLUSHALL"]).expect("done");
        let newest = one.epoch.max(two.epoch);
        (one.epoch, two.epoch) = (newest, newest);
        let mut last = None;
        for at in order {
            let (node, tells) = match at {
                0 => (&mut one, &tells_early),
                _ => (&mut two, &tells_late),
            };
            last = Some(loop {
                match call(&mut store, node, &both, tells.clone()) {
                    Reply::Done {
                        closed_ms, mut answers, ..
                    } => break (closed_ms, answers.remove(0)),
                    Reply::Epoch(epoch) => node.epoch = epoch,
                    Reply::Stale(_) => panic!("nobody was quicker"),
                }
            });
        }
        let (closed_ms, answer) = last.expect("somebody told");
        assert_eq!(closed_ms == 0, order.len() == 2, "both have to tell: {order:?}");
        if closed_ms == 0 {
            assert_eq!(answer.used, 19 + 34 + 11, "of the third what was heard last: {order:?}");
        }
    }
    // It comes back after all, and speaks for itself.
    three.epoch = one.epoch;
    let back = three.tell(&mut store, yearly(33, 30, 0, 0));
    assert_eq!(back.used, 19 + 33 + 11);
}

#[test]
fn where_all_crashed_the_largest_sum_counts_and_who_comes_back_later_is_in_it() {
    let server = Server::start(&[]).await_ready();
    let mut store = Store::new(server.way());
    let [mut one, mut two, mut three] = [1, 2, 3].map(numbered);
    let summed = |used, told, claim| Entry {
        claim,
        ..yearly(used, told, 0, 0)
    };
    // Each had heard another sum; of the third, forty.
    assert_eq!(one.tell(&mut store, summed(12, 10, 70)).used, 72);
    two.epoch = one.epoch;
    assert_eq!(
        two.tell(&mut store, summed(20, 20, 65)).used,
        72,
        "which is in what the first had heard"
    );
    assert_eq!(
        two.tell(&mut store, summed(25, 20, 95)).used,
        100,
        "another had heard of more"
    );
    three.epoch = one.epoch;
    assert_eq!(three.tell(&mut store, yearly(41, 40, 0, 0)).used, 101);
}

#[test]
fn what_an_earlier_version_left_in_the_store_is_read() {
    let server = Server::start(&[]).await_ready();
    let mut store = Store::new(server.way());
    let mut node = numbered(1);
    node.tell(&mut store, yearly(0, 0, 0, 0));
    let key = "{test:0}:0000000000000007:3";
    let epoch = node.epoch.to_string();
    let (mine, other) = ("n:0000010000000000", "n:0000020000000000");
    let rest = "r:0000020000000000";
    server.ask(&["DEL", key]).expect("done");
    // A third is gone, and what it used is in the sum alone.
    let fields = [
        "e", &epoch, "u", "60", "c", "60", "f", "0", "m", "0", "w", "-1", "a", "7", "o", "1", "l", "", mine, "10",
        other, "20", rest, "5",
    ];
    let command: Vec<&str> = ["HSET", key].into_iter().chain(fields).collect();
    server.ask(&command).expect("done");
    let answer = node.tell(&mut store, yearly(12, 10, 0, 40));
    assert_eq!((answer.used, answer.granted, answer.pool), (62, 0, 38 - 5));
    assert_eq!(answer.named, [(2 << 40, 20)]);
    // And what this one writes an earlier one reads: the sum, and what each of them told.
    let read = ["u", mine, other, rest].map(|field| kept(&server, field).expect("it is there"));
    assert_eq!(read, ["62", "12", "20", "5"]);
}

#[test]
fn of_very_many_nodes_those_that_were_not_heard_for_long_are_one_sum() {
    let server = Server::start(&[]).await_ready();
    let mut store = Store::new(server.way());
    let (mut one, mut two, mut old) = (numbered(1), numbered(2), numbered(3));
    one.tell(&mut store, yearly(1, 0, 0, 0));
    two.tell(&mut store, yearly(2, 0, 0, 0));
    let key = "{test:0}:0000000000000007:3";
    let names: Vec<String> = (0..MOST_NAMED).map(|at| format!("n:{:016x}", (at + 3) << 40)).collect();
    let fields = names.iter().flat_map(|name| [name.as_str(), "10"]);
    let all: Vec<&str> = ["HSET", key].into_iter().chain(fields).collect();
    server.ask(&all).expect("done");
    let used = 3 + 10 * MOST_NAMED as u64;
    server.ask(&["HSET", key, "u", &used.to_string()]).expect("done");
    let answer = one.tell(&mut store, yearly(1, 1, 0, 0));
    assert_eq!((answer.used, answer.named.as_slice()), (used, &[(2 << 40, 2)][..]));
    // One of them comes back: what it had told is in the sum.
    old.epoch = one.epoch;
    assert_eq!(old.tell(&mut store, yearly(11, 10, 0, 0)).used, used + 1);
}

#[test]
fn an_older_copy_that_comes_twice_begins_two_epochs() {
    let server = Server::start(&[]).await_ready();
    let mut store = Store::new(server.way());
    let mut node = numbered(1);
    node.tell(&mut store, yearly(1, 0, 0, 0));
    let copied = node.epoch.to_string();
    let now_ms = || match server.ask(&["TIME"]) {
        Some(Value::List(parts)) => {
            let parts = parts
                .into_iter()
                .map(|part| text(Some(part)).parse::<u64>().expect("a number"));
            let parts: Vec<u64> = parts.collect();
            parts[0] * 1_000 + parts[1] / 1_000
        }
        other => panic!("{other:?}"),
    };
    let mut last = node.epoch;
    for _ in 0..3 {
        let before = now_ms();
        wait("another millisecond", || (now_ms() > before).then_some(()));
        let fields = ["e", &copied, "server", "another"];
        let command: Vec<&str> = ["HSET", "{test:0}:group"].into_iter().chain(fields).collect();
        server.ask(&command).expect("done");
        // All have crashed: nobody says which epoch was the last.
        node.epoch = 0;
        match store.call(&node.request(vec![])) {
            Ok(Reply::Epoch(epoch)) => {
                assert!(epoch > last, "{epoch} after {last}");
                last = epoch;
            }
            other => panic!("{other:?}"),
        }
    }
}
