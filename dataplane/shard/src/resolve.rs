//! Names → addresses, on one side thread. Shards ask through a bounded queue and are answered by message; they never
//! wait. Knows nothing of pools or connections. IP literals never come here.

#![allow(clippy::disallowed_methods)] // All but `Handle::resolve` runs on the resolver's own thread.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs},
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use hickory_resolver::{TokioResolver, config::LookupIpStrategy};
use tokio::sync::{Semaphore, mpsc};

use crate::messages::{ShardHandle, ToShard};

/// Questions that wait; one more is answered at once as if the name did not exist.
const QUEUED: usize = 1024;
/// Questions being asked at once.
const ASKED_AT_ONCE: usize = 128;
const MIN_TTL: Duration = Duration::from_secs(1);
const MAX_TTL: Duration = Duration::from_secs(5 * 60);
/// Where the system tells no TTL: its own resolver, `localhost`.
const UNKNOWN_TTL: Duration = Duration::from_secs(30);
/// Names that do not exist are not asked for again within these.
const MIN_NEGATIVE_TTL: Duration = Duration::from_secs(1);
const MAX_NEGATIVE_TTL: Duration = Duration::from_secs(10);
/// For one server and try; there are two tries.
const TRY_TIMEOUT: Duration = Duration::from_secs(2);
/// A shard whose inbox is full is told again after this, so often.
const TELL_AGAIN: Duration = Duration::from_millis(10);
const TELL_TIMES: u32 = 500;
/// What the system's answers depend on: read again when one of them changed.
const SYSTEM_FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

struct Question {
    host: String,
    shard: u16,
}

/// The way to the resolver; cloned to every shard.
#[derive(Clone)]
pub struct Handle {
    questions: mpsc::Sender<Question>,
    peers: Arc<[ShardHandle]>,
}

impl Handle {
    /// Asks for `host`; `ToShard::Resolved` comes to that shard, whatever happens.
    pub fn resolve(&self, host: &str, shard: u16) {
        if self
            .questions
            .try_send(Question {
                host: host.to_owned(),
                shard,
            })
            .is_err()
        {
            let ttl_ms = MIN_NEGATIVE_TTL.as_millis() as u64;
            let told = ToShard::Resolved {
                host: host.to_owned(),
                addresses: Vec::new(),
                ttl_ms,
            };
            self.peers[usize::from(shard)].send(told);
        }
    }
}

/// Starts the resolver's thread. Fails when the system gives no thread or no epoll.
pub fn start(peers: Arc<[ShardHandle]>) -> Result<Handle, String> {
    let (questions, asked) = mpsc::channel(QUEUED);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the resolver: {error}"))?;
    let handle = Handle {
        questions,
        peers: Arc::clone(&peers),
    };
    std::thread::Builder::new()
        .name("resolver".to_owned())
        .spawn(move || runtime.block_on(answer(asked, peers)))
        .map_err(|error| format!("cannot start the resolver's thread: {error}"))?;
    Ok(handle)
}

async fn answer(mut asked: mpsc::Receiver<Question>, peers: Arc<[ShardHandle]>) {
    let mut system = System::read();
    let slots = Arc::new(Semaphore::new(ASKED_AT_ONCE));
    while let Some(Question { host, shard }) = asked.recv().await {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        if system.changed() {
            system = System::read();
        }
        let resolver = system.resolver.clone();
        let peer = peers[usize::from(shard)].clone();
        tokio::spawn(async move {
            let (addresses, ttl) = look_up(resolver, &host).await;
            drop(slot);
            tell(&peer, &host, &addresses, ttl).await;
        });
    }
}

async fn tell(peer: &ShardHandle, host: &str, addresses: &[IpAddr], ttl: Duration) {
    for _ in 0..TELL_TIMES {
        let ttl_ms = ttl.as_millis() as u64;
        if peer.send(ToShard::Resolved {
            host: host.to_owned(),
            addresses: addresses.to_vec(),
            ttl_ms,
        }) {
            return;
        }
        tokio::time::sleep(TELL_AGAIN).await;
    }
}

/// The system's configuration as last read; without a resolver its own (`getaddrinfo`) is asked.
struct System {
    resolver: Option<TokioResolver>,
    stamps: [Option<SystemTime>; 2],
}

impl System {
    fn read() -> Self {
        let stamps = stamps();
        let resolver = resolver().inspect_err(|error| {
            tracing::warn!(%error, "no usable resolver configuration; asking the system's own resolver");
        });
        Self {
            resolver: resolver.ok(),
            stamps,
        }
    }

    fn changed(&self) -> bool {
        stamps() != self.stamps
    }
}

fn stamps() -> [Option<SystemTime>; 2] {
    SYSTEM_FILES.map(|path| fs::metadata(Path::new(path)).and_then(|file| file.modified()).ok())
}

fn resolver() -> Result<TokioResolver, String> {
    let mut builder = TokioResolver::builder_tokio().map_err(|error| error.to_string())?;
    let options = builder.options_mut();
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.timeout = TRY_TIMEOUT;
    options.attempts = 2;
    options.positive_min_ttl = Some(MIN_TTL);
    options.positive_max_ttl = Some(MAX_TTL);
    options.negative_min_ttl = Some(MIN_NEGATIVE_TTL);
    options.negative_max_ttl = Some(MAX_NEGATIVE_TTL);
    builder.build().map_err(|error| error.to_string())
}

/// Addresses, none when there are none, IPv4 first (every network has it), and how long they are good.
async fn look_up(resolver: Option<TokioResolver>, host: &str) -> (Vec<IpAddr>, Duration) {
    // RFC 6761: never asked of a server.
    let name = host.trim_end_matches('.');
    if name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost") {
        return (
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            UNKNOWN_TTL,
        );
    }
    let (mut addresses, ttl) = match resolver {
        Some(resolver) => match resolver.lookup_ip(host).await {
            Ok(found) => {
                let ttl = found.valid_until().saturating_duration_since(Instant::now());
                (found.iter().collect(), ttl.clamp(MIN_TTL, MAX_TTL))
            }
            Err(error) => {
                tracing::warn!(host, %error, "a name does not resolve");
                (Vec::new(), MIN_NEGATIVE_TTL)
            }
        },
        None => (ask_system(host).await, UNKNOWN_TTL),
    };
    addresses.sort_by_key(IpAddr::is_ipv6);
    addresses.dedup();
    (addresses, ttl)
}

/// `getaddrinfo`, on a thread of the runtime's.
async fn ask_system(host: &str) -> Vec<IpAddr> {
    let host = host.to_owned();
    let found = tokio::task::spawn_blocking(move || match (host.as_str(), 0).to_socket_addrs() {
        Ok(found) => found.map(|address| address.ip()).collect(),
        Err(error) => {
            tracing::warn!(host, %error, "a name does not resolve");
            Vec::new()
        }
    });
    found.await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::{Receiver, bounded};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn shard() -> (ShardHandle, Receiver<ToShard>) {
        let (inbox, messages) = bounded(8);
        let wake = rustix::event::eventfd(0, rustix::event::EventfdFlags::NONBLOCK).expect("an eventfd");
        (ShardHandle::new(inbox, Arc::new(wake)), messages)
    }

    fn ask(host: &str) -> Vec<IpAddr> {
        let (peer, messages) = shard();
        let handle = start(Arc::new([peer])).expect("a thread");
        handle.resolve(host, 0);
        match messages.recv_timeout(PATIENCE) {
            Ok(ToShard::Resolved {
                host: told,
                addresses,
                ttl_ms,
            }) => {
                assert_eq!(told, host);
                assert!((1_000..=300_000).contains(&ttl_ms));
                addresses
            }
            _ => panic!("no answer"),
        }
    }

    #[test]
    fn localhost_needs_no_server() {
        let both: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        assert_eq!(ask("localhost"), both);
        assert_eq!(ask("sandbox.LOCALHOST."), both);
    }

    #[test]
    fn names_that_do_not_exist_or_are_none_are_answered_too() {
        for host in ["nobody.invalid", "", "..", "a b", &"x".repeat(300)] {
            assert!(ask(host).is_empty(), "{host}");
        }
    }

    #[test]
    fn the_system_s_own_resolver_serves_when_there_is_no_other() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        assert!(runtime.block_on(look_up(None, "nobody.invalid")).0.is_empty());
        assert_eq!(
            runtime.block_on(look_up(None, "127.0.0.1")).0,
            [IpAddr::from([127, 0, 0, 1])]
        );
    }

    #[test]
    fn a_full_queue_answers_at_once() {
        let (peer, messages) = shard();
        let (questions, _nobody_reads) = mpsc::channel(1);
        let handle = Handle {
            questions,
            peers: Arc::new([peer]),
        };
        handle.resolve("one.test", 0);
        assert!(messages.is_empty());
        handle.resolve("two.test", 0);
        assert!(matches!(messages.try_recv(), Ok(ToShard::Resolved { host, .. }) if host == "two.test"));
    }
}
