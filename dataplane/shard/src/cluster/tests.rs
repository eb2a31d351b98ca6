//! The store's script and the ways to it, with real servers: Debian's `redis-server`, alone, as a Redis Cluster of two, behind
//! a sentinel, with a password, and by TLS.

#![allow(clippy::disallowed_methods)] // Servers are started here, and waited for.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tollgate_config::document::Topology;
use tollgate_engine::limits::cluster::{Answer, Entry, Kind, Reply, Request};

use super::{
    connection::{Connection, Credential},
    resolver::Resolver,
    resp::Value,
    store::{Store, Way},
};

/// How long a server may take to be there.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Server {
    child: Child,
    pub port: u16,
    folder: tempfile::TempDir,
}

impl Server {
    pub fn start(arguments: &[&str]) -> Self {
        Self::with(|_, _| arguments.iter().map(|&argument| argument.to_owned()).collect())
    }

    /// With arguments made of its port and folder.
    pub fn with(arguments: impl FnOnce(u16, &Path) -> Vec<String>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let mut command = Command::new("redis-server");
        command.args(arguments(port, folder.path()));
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"]);
        command.arg(folder.path()).args(["--port", &port.to_string()]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("redis-server: `.ci/tools test` installs it");
        Self { child, port, folder }
    }

    pub fn ask(&self, parts: &[&str]) -> Option<Value> {
        let until = Instant::now() + PATIENCE;
        let address = ("127.0.0.1".to_owned(), self.port);
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        Connection::open(&mut Resolver::default(), &address, None, None, until)
            .ok()?
            .ask(&parts, until)
            .ok()
    }

    /// As by a power cut.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn await_ready(self) -> Self {
        wait("the server", || self.ask(&["PING"]));
        self
    }

    pub fn way(&self) -> Way {
        Way {
            topology: Topology::Single,
            servers: vec![("127.0.0.1".to_owned(), self.port)],
            tls: None,
            user: None,
            password: None,
            sentinel_password: None,
            prefix: "test".to_owned(),
            timeout: Duration::from_secs(2),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Below what other tests are given and what Linux takes for the source of a connection: none of them can take it before its
/// server is up. Tests that start together look in different places, and one test's servers in one after the other.
fn free_port() -> u16 {
    const PORTS: std::ops::Range<u16> = 2_000..12_000;
    static TAKEN: AtomicUsize = AtomicUsize::new(0);
    let first = std::process::id() as usize * 37;
    (0..PORTS.len())
        .map(|_| PORTS.start + ((first + TAKEN.fetch_add(1, Ordering::Relaxed)) % PORTS.len()) as u16)
        .find(|port| {
            let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
            // A Redis Cluster's own port is ten thousand above, where there must be room.
            free(*port) && free(*port + 10_000)
        })
        .expect("a free port")
}

pub(super) fn wait<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < until, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A node as the store sees it.
pub(super) struct Node {
    number: u64,
    pub group: usize,
    seq: u64,
    pub epoch: u64,
    grace_ms: u64,
}

impl Node {
    pub fn new(number: u64) -> Self {
        Self {
            number,
            group: 0,
            seq: 0,
            epoch: 0,
            grace_ms: 0,
        }
    }

    pub fn request(&mut self, entries: Vec<Entry>) -> Request {
        self.seq += 1;
        Request {
            group: self.group,
            node: self.number,
            seq: self.seq,
            acked: 0,
            epoch: self.epoch,
            reclaim_after_ms: 60_000,
            grace_ms: self.grace_ms,
            cursor: 0,
            is_whole: true,
            leaves: false,
            peers: Vec::new(),
            entries,
        }
    }

    pub fn tell(&mut self, store: &mut Store, entry: Entry) -> Answer {
        loop {
            let request = self.request(vec![entry.clone()]);
            match store.call(&request).expect("an answer") {
                Reply::Done { mut answers, .. } => return answers.remove(0),
                Reply::Epoch(epoch) => self.epoch = epoch,
                Reply::Stale(_) => panic!("nobody was quicker"),
            }
        }
    }
}

pub(super) fn entry(kind: Kind, most: u64, (used, told, rest): (u64, u64, u64), need: u64) -> Entry {
    Entry {
        id: 7,
        period: 3,
        kind,
        exact: true,
        most,
        ttl_ms: 60_000,
        used,
        told,
        claim: 0,
        rest,
        want: need,
        need,
        asks: true,
        heard: None,
    }
}

#[test]
fn two_nodes_are_never_granted_more_than_there_is() {
    let server = Server::start(&[]).await_ready();
    let mut store = Store::new(server.way());
    let (mut one, mut two) = (Node::new(1), Node::new(2));
    let of = |used, told, rest, need| entry(Kind::Calendar, 100, (used, told, rest), need);
    let first = one.tell(&mut store, of(0, 0, 0, 70));
    assert_eq!(
        (first.granted, first.used, first.pool, first.starved),
        (70, 0, 30, false)
    );
    let second = two.tell(&mut store, of(0, 0, 0, 40));
    assert_eq!((second.granted, second.starved), (0, true), "only thirty are left");
    // It used ten of them, gives back thirty, and the second has enough.
    one.tell(&mut store, of(10, 0, 30, 0));
    let second = two.tell(&mut store, of(0, 0, 0, 40));
    assert_eq!((second.granted, second.used, second.pool), (40, 10, 20));
    // More was used than there is: it is known, and nothing is granted.
    let beyond = two.tell(&mut store, of(95, 0, 0, 1));
    assert_eq!((beyond.granted, beyond.used, beyond.starved), (0, 105, true));
}

#[test]
fn what_was_overtaken_does_nothing_and_what_was_lost_is_told_again() {
    let server = Server::start(&[]).await_ready();
    let mut store = Store::new(server.way());
    let mut node = Node::new(1);
    let of = |used, told, rest, need| entry(Kind::Calendar, 100, (used, told, rest), need);
    node.tell(&mut store, of(0, 0, 0, 10));
    let late = node.request(vec![of(0, 0, 0, 90)]);
    node.tell(&mut store, of(5, 0, 5, 0));
    assert_eq!(store.call(&late), Ok(Reply::Stale(late.seq + 1)));

    server.ask(&["FLUSHALL"]).expect("done");
    let epoch = node.epoch;
    let told = Entry {
        claim: 60,
        ..of(5, 5, 5, 40)
    };
    let answer = node.tell(&mut store, told);
    assert!(node.epoch > epoch);
    assert_eq!(
        (answer.used, answer.granted, answer.starved),
        (60, 0, true),
        "others had used 55"
    );
    let mut other = Node::new(2);
    other.epoch = node.epoch;
    let older = Entry {
        claim: 70,
        ..of(0, 0, 0, 0)
    };
    assert_eq!(
        other.tell(&mut store, older).used,
        70,
        "whoever knows of more is believed"
    );
    let again = node.tell(
        &mut store,
        Entry {
            claim: 60,
            ..of(6, 5, 4, 30)
        },
    );
    assert_eq!((again.used, again.granted), (71, 0), "what is known counts once");

    // Writes that a replica never had: the node knows an answer that the store does not.
    let mut request = node.request(vec![of(6, 5, 4, 1)]);
    request.acked = request.seq + 5;
    assert!(matches!(store.call(&request), Ok(Reply::Epoch(next)) if next > node.epoch));
}

#[test]
fn in_a_new_epoch_nothing_is_granted_until_all_had_time_to_tell() {
    let server = Server::start(&[]).await_ready();
    let mut store = Store::new(server.way());
    let mut node = Node::new(1);
    node.grace_ms = 1_000;
    let of = |need| entry(Kind::Calendar, 100, (0, 0, 0), need);
    assert_eq!(node.tell(&mut store, of(10)).granted, 0);
    wait("the epoch to open", || {
        (node.tell(&mut store, of(10)).granted == 10).then_some(())
    });
}

#[test]
fn a_bucket_flows_and_calls_under_way_of_the_dead_end() {
    let server = Server::start(&[]).await_ready();
    let mut store = Store::new(server.way());
    let mut node = Node::new(1);
    let kind = Kind::Refill {
        amount: 100,
        per_ms: 1_000,
    };
    let of = |used, told, need| entry(kind, 50, (used, told, 0), need);
    assert_eq!(node.tell(&mut store, of(0, 0, 50)).granted, 50);
    assert_eq!(node.tell(&mut store, of(50, 0, 50)).granted, 0, "all is used");
    wait("all to flow off", || {
        (node.tell(&mut store, of(50, 50, 0)).used == 0).then_some(())
    });

    let of = |used| Entry {
        id: 8,
        ..entry(Kind::Concurrent, 5, (used, 0, 0), 0)
    };
    let mut two = Node::new(2);
    assert_eq!(node.tell(&mut store, of(3)).used, 3);
    assert_eq!(two.tell(&mut store, of(2)).used, 5);
    // Who was not heard for so long is gone.
    wait("the first to be gone", || {
        let mut request = two.request(vec![of(2)]);
        request.reclaim_after_ms = 50;
        match store.call(&request) {
            Ok(Reply::Done { answers, nodes, .. }) => (answers[0].used == 2 && nodes == 1).then_some(()),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_redis_cluster_is_followed_to_whoever_has_the_slot() {
    let start = |arguments: &[&str]| Server::start(arguments).await_ready();
    let nodes = [(); 2].map(|()| start(&["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]));
    for (node, range) in nodes.iter().zip([["0", "8191"], ["8192", "16383"]]) {
        node.ask(&["CLUSTER", "ADDSLOTSRANGE", range[0], range[1]])
            .expect("done");
    }
    let port = nodes[1].port.to_string();
    nodes[0].ask(&["CLUSTER", "MEET", "127.0.0.1", &port]).expect("done");
    for node in &nodes {
        wait("the cluster", || match node.ask(&["CLUSTER", "INFO"])? {
            Value::Text(text) => String::from_utf8_lossy(&text)
                .contains("cluster_state:ok")
                .then_some(()),
            _ => None,
        });
    }
    let way = Way {
        topology: Topology::Cluster,
        ..nodes[0].way()
    };
    let mut store = Store::new(way.clone());
    for group in 0..16 {
        let mut node = Node::new(1);
        node.group = group;
        let answer = node.tell(&mut store, entry(Kind::Calendar, 100, (0, 0, 0), 10));
        assert_eq!(answer.granted, 10, "group {group}");
    }
    let kept = nodes.each_ref().map(|node| match node.ask(&["DBSIZE"]) {
        Some(Value::Number(keys)) => keys,
        other => panic!("{other:?}"),
    });
    assert!(
        kept.iter().all(|keys| *keys > 0) && kept.iter().sum::<i64>() == 32,
        "{kept:?}"
    );
    commands_find_their_slot(&nodes, &way);
}

/// Several at once, of one slot: to whoever has it, and to whoever gets it while it moves.
fn commands_find_their_slot(nodes: &[Server; 2], way: &Way) {
    let both = |key: &str| {
        let commands = [vec![&b"SET"[..], key.as_bytes(), b"v"], vec![b"GET", key.as_bytes()]];
        let said = Store::new(way.clone()).commands(&commands, Instant::now() + PATIENCE);
        let said = said.expect("both are answered");
        assert_eq!(said, [Value::Text(b"OK".to_vec()), Value::Text(b"v".to_vec())], "{key}");
    };
    for slot in 0..16 {
        both(&format!("{{{slot}}}:at rest"));
    }
    let Some(Value::Number(slot)) = nodes[0].ask(&["CLUSTER", "KEYSLOT", "moving"]) else {
        panic!("it has a slot");
    };
    let (from, to) = match slot <= 8_191 {
        true => (&nodes[0], &nodes[1]),
        false => (&nodes[1], &nodes[0]),
    };
    let name = |node: &Server| match node.ask(&["CLUSTER", "MYID"]) {
        Some(Value::Text(name)) => String::from_utf8(name).expect("a name"),
        other => panic!("{other:?}"),
    };
    let slot = slot.to_string();
    to.ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &name(from)])
        .expect("done");
    from.ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &name(to)])
        .expect("done");
    both("{moving}:now");
}

#[test]
fn sentinels_say_who_the_master_is() {
    let master = Server::start(&[]).await_ready();
    let sentinel = Server::with(|_, folder| {
        let file = folder.join("sentinel.conf");
        let text = format!("sentinel monitor main 127.0.0.1 {} 1\n", master.port);
        std::fs::write(&file, text).expect("written");
        vec![file.display().to_string(), "--sentinel".to_owned()]
    })
    .await_ready();
    let way = Way {
        topology: Topology::Sentinel {
            master: "main".to_owned(),
            password: None,
        },
        ..sentinel.way()
    };
    let mut store = Store::new(way.clone());
    let answer = Node::new(1).tell(&mut store, entry(Kind::Calendar, 100, (0, 0, 0), 10));
    assert_eq!(answer.granted, 10);
    let unknown = Way {
        topology: Topology::Sentinel {
            master: "other".to_owned(),
            password: None,
        },
        ..way
    };
    let refused = Store::new(unknown).call(&Node::new(1).request(Vec::new()));
    assert!(refused.is_err_and(|why| why.contains("knows no master 'other'")));
}

#[test]
fn a_password_and_tls_are_spoken_and_what_is_wrong_is_told() {
    let authority = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let pem = (authority.cert.pem(), authority.signing_key.serialize_pem());
    let server = Server::with(|port, folder| {
        let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        std::fs::write(&certificate, &pem.0).expect("written");
        std::fs::write(&key, &pem.1).expect("written");
        let mut all = vec!["--requirepass".to_owned(), "right".to_owned()];
        all.extend(["--tls-port", &(port + 10_000).to_string(), "--tls-auth-clients", "no"].map(str::to_owned));
        all.extend(["--tls-cert-file".to_owned(), certificate.display().to_string()]);
        all.extend(["--tls-key-file".to_owned(), key.display().to_string()]);
        all.extend(["--tls-ca-cert-file".to_owned(), certificate.display().to_string()]);
        all
    });
    let folder = server.folder.path();
    let mut maker = crate::tls::TlsMaker::new().expect("randomness");
    let ca = tollgate_config::document::Reference::File(folder.join("cert.pem").display().to_string());
    let secrets = std::iter::once((ca.clone(), pem.0.clone().into_bytes())).collect();
    let tls = maker
        .for_store(Some(&ca), None, "/cluster/valkey/tls", &secrets)
        .expect("a configuration");
    let way = Way {
        tls: Some(tls),
        servers: vec![("localhost".to_owned(), server.port + 10_000)],
        password: Some(b"right".to_vec()),
        ..server.way()
    };
    wait("the server", || {
        let until = Instant::now() + PATIENCE;
        let credential = Credential {
            user: None,
            password: b"right",
        };
        Connection::open(
            &mut Resolver::default(),
            &way.servers[0],
            way.tls.as_ref(),
            Some(credential),
            until,
        )
        .ok()
    });
    let answer = Node::new(1).tell(&mut Store::new(way.clone()), entry(Kind::Calendar, 100, (0, 0, 0), 10));
    assert_eq!(answer.granted, 10);
    let wrong = Way {
        password: Some(b"wrong".to_vec()),
        ..way.clone()
    };
    let refused = Store::new(wrong).call(&Node::new(1).request(Vec::new()));
    assert!(refused.is_err_and(|why| why.contains("refuses the password")));
    let untrusted = Way {
        tls: Some(Arc::new(
            rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("versions")
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth(),
        )),
        ..way
    };
    let refused = Store::new(untrusted).call(&Node::new(1).request(Vec::new()));
    assert!(refused.is_err_and(|why| why.contains("certificate")));
}
