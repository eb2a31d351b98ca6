//! What the planes say to each other over `STATE_DIR/dataplane.sock` (a Unix stream socket, mode 0600; the data plane
//! listens). The control plane asks, the data plane answers each `Ask` with one `Say::Answer` carrying the same `id`;
//! a connection's asks are taken in order, its answers come in that order. After `Hello` on a connection, `Say::Event`s
//! come on it unasked, between answers.
//!
//! The exact bytes:
//! - A frame is a 4-byte little-endian length N (0 < N ≤ `MAX_FRAME_BYTES`) and N bytes of JSON: an `Ask` one way, a
//!   `Say` the other. A frame that is too long or does not parse ends the connection.
//! - Descriptors follow a frame, never accompany it. Right after the frame of a `Listeners` ask come its `count`
//!   descriptors in messages of one byte, 0x00, each sent by one `sendmsg` carrying at most `MAX_FDS_PER_MESSAGE` of
//!   them as SCM_RIGHTS (so ⌈count / 253⌉ such bytes; none when `count` is 0). Read the frame by exact lengths, not
//!   through a buffered reader, then each byte with `recvmsg` (MSG_CMSG_CLOEXEC).
//! - Right after the frame of a `Sockets` answer come the descriptors of each listener in the order listed, the same
//!   way: a listener never shares a message with another. Nothing, no event either, comes between.
//! - The descriptors are listening sockets, SO_REUSEPORT set, the i-th for shard i.
//!
//! A data plane puts `STATE_DIR/last-good.json` (`{"revision", "document", "keys", …}`) in force before it listens here,
//! so that `Hello` tells the revision it runs. Started with `--supervised` it opens no client-facing socket itself but
//! awaits `Listeners`; without, it binds those of the last good document (or takes them from `LISTEN_FDS`), and hands
//! them over on `TakeListeners`. `Drain` is what SIGTERM does: the data plane ends with exit status 0 when it is done;
//! until accepting stops (`drain_delay`), `Resume` undoes it.
//!
//! Marks: the control plane's store keeps what the data plane remembers of objects at providers. A control plane that has
//! come gives all that the store has (`Marks`, in pieces, before it hands sockets over); the data plane then knows what
//! the store lacks. Whenever there is some, it says `MarksNoted` once, and is asked `TakeMarks` until there is no more.
//! What was taken and not acknowledged is given again, so that nothing is lost where either side ends in between.

//! Planes of different versions meet when one of them is replaced. A data plane that is asked what it does not know says so
//! (`Unknown`) and goes on; those of `PROTOCOL` 0 cut the connection instead, so they are asked nothing but what they know.
//! A control plane passes over what it is told and does not know. Unknown members of what is known are ignored, and missing
//! ones have defaults. Nothing but the frames named above may be followed by descriptors.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::{marks::Mark, problem::Problem, stored_limits::StoredLimits};

/// A frame over this is refused.
pub const MAX_FRAME_BYTES: usize = 256 * 1024 * 1024;
/// Of the language described here; told in `Hello`.
pub const PROTOCOL: u32 = 1;
/// Descriptors in one message: the kernel's SCM_MAX_FD.
pub const MAX_FDS_PER_MESSAGE: usize = 253;

/// Control plane → data plane.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ask {
    pub id: u64,
    pub body: AskBody,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskBody {
    /// Who is there: answered by `Hello`.
    Hello,
    /// `count` listening sockets bound to `address` follow as SCM_RIGHTS, one per shard, for the listener's name.
    Listeners {
        name: String,
        address: SocketAddr,
        count: u16,
    },
    /// Hand the listening sockets back (adoption by a new control plane): answered by `Sockets`, then the descriptors.
    TakeListeners,
    /// Compile the document and prepare it on every shard. `keys` is the whole identity store.
    Prepare {
        revision: u64,
        document: serde_json::Value,
        keys: Vec<StoredKey>,
    },
    /// Put the prepared revision in force on every shard, after the data plane has fsynced it as last good.
    Commit {
        revision: u64,
    },
    Abort {
        revision: u64,
    },
    /// Identity changes, in force on every shard when answered.
    Keys {
        upsert: Vec<StoredKey>,
        remove: Vec<String>,
    },
    /// Marks that the store has: a piece of them.
    Marks {
        marks: Vec<Mark>,
        /// This piece is the last, and who gave it is told of news from now on.
        last: bool,
    },
    /// What the store lacks. The report of this number is in the store: it need not be given again.
    TakeMarks {
        kept: u64,
    },
    Status,
    /// What this data plane cannot read: from a control plane that is newer, or at fault. Never sent.
    #[serde(skip)]
    Unknown {
        ask: String,
    },
    /// Prometheus text of the data plane.
    Metrics,
    /// How the limits of a scope stand; an empty name is every name's.
    Limits {
        scope: String,
        name: String,
    },
    /// Forget answers that are kept.
    Purge {
        filter: Purge,
    },
    /// What each cache did, and what `mode: shadow` compared lately.
    Caches,
    /// An answer that was served by meaning was right, or wrong.
    Feedback {
        request_id: String,
        wrong: bool,
    },
    /// Reread certificates and key files of the running revision.
    ReloadFiles,
    Drain,
    Resume,
}

impl Ask {
    /// Reads an ask's frame. One of which only its number can be read is `Unknown`.
    pub fn read(frame: &[u8]) -> serde_json::Result<Ask> {
        #[derive(Deserialize)]
        struct Numbered {
            id: u64,
            body: serde_json::Value,
        }
        serde_json::from_slice(frame).or_else(|error| {
            let Ok(Numbered { id, body }) = serde_json::from_slice(frame) else {
                return Err(error);
            };
            let name = match &body {
                serde_json::Value::String(name) => Some(name),
                serde_json::Value::Object(members) => members.keys().next(),
                _ => None,
            };
            // Behind those come descriptors, of which nobody knows how many.
            match name {
                Some(name) if name != "listeners" => Ok(Ask {
                    id,
                    body: AskBody::Unknown {
                        ask: name.chars().take(MAX_NAME_CHARS).collect(),
                    },
                }),
                _ => Err(error),
            }
        })
    }
}

impl AskBody {
    /// Does a data plane of this protocol at least say that it does not know the ask?
    pub fn may_be_asked(&self, protocol: u32) -> bool {
        protocol > 0
            || matches!(
                self,
                Self::Hello
                    | Self::Listeners { .. }
                    | Self::TakeListeners
                    | Self::Prepare { .. }
                    | Self::Commit { .. }
                    | Self::Abort { .. }
                    | Self::Keys { .. }
                    | Self::Marks { .. }
                    | Self::TakeMarks { .. }
                    | Self::Status
                    | Self::Metrics
                    | Self::Limits { .. }
                    | Self::ReloadFiles
                    | Self::Drain
                    | Self::Resume
            )
    }
}

/// Of an unknown ask's name, what is told of it.
const MAX_NAME_CHARS: usize = 64;

/// A key of the identity store. Secrets exist only as SHA-256, hex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredKey {
    pub name: String,
    pub sha256: String,
    /// A rotated key's former secret, good until then (Unix seconds).
    pub previous: Option<(String, u64)>,
    pub team: Option<String>,
    pub user: Option<String>,
    pub models: Vec<String>,
    pub expires_unix_s: Option<u64>,
    /// `high`, `normal` or `low`; none is `normal`.
    #[serde(default)]
    pub priority: Option<String>,
    /// As the document has those of its keys: a list, or null.
    #[serde(default)]
    pub limits: StoredLimits,
}

/// Data plane → control plane.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Say {
    Answer {
        id: u64,
        body: AnswerBody,
    },
    Event(Event),
    /// There is something for `TakeMarks`.
    MarksNoted,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerBody {
    Hello {
        pid: u32,
        version: String,
        shards: u16,
        revision: u64,
        listeners: Vec<(String, SocketAddr)>,
        /// Zero: of before there were any.
        #[serde(default)]
        protocol: u32,
    },
    Done,
    Sockets {
        listeners: Vec<(String, SocketAddr, u16)>,
    },
    Prepared {
        revision: u64,
    },
    Committed {
        revision: u64,
        shards: Vec<ShardRevision>,
    },
    /// The change took effect nowhere.
    Refused {
        problems: Vec<Problem>,
    },
    /// Numbered from 1; empty and of no number when the store has everything.
    Marks {
        report: u64,
        made: Vec<Mark>,
        gone: Vec<Mark>,
    },
    Status(Box<Status>),
    Metrics {
        text: String,
    },
    Limits {
        limits: Vec<LimitStatus>,
    },
    Purged {
        answers: u64,
        bytes: u64,
    },
    Caches {
        caches: Vec<CacheStatus>,
        compared: Vec<CacheCompared>,
    },
    /// The cache whose hit was judged; none where no such request was served by meaning lately.
    Judged {
        cache: Option<String>,
    },
    Failed {
        reason: String,
    },
    /// This data plane knows no such ask. Nothing was done.
    Unknown {
        ask: String,
        /// The data plane's.
        version: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardRevision {
    pub id: u16,
    pub revision: u64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    pub pid: u32,
    pub uptime_s: u64,
    pub revision: u64,
    pub draining: bool,
    pub rss_bytes: u64,
    pub shards: Vec<ShardStatus>,
    /// Totals over the shards since start, with latency quantiles in µs, for `tollgate top`.
    pub requests: u64,
    pub failures: u64,
    pub total_us: Quantiles,
    pub gateway_us: Quantiles,
    pub models: Vec<ModelStatus>,
    /// Where nodes share their limits.
    pub cluster: Option<ClusterStatus>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterStatus {
    pub store_up: bool,
    /// Heard lately, this one too.
    pub nodes: u64,
    pub epoch: u64,
    pub leases: u64,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Quantiles {
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ShardStatus {
    pub id: u16,
    pub revision: u64,
    pub connections: u64,
    pub upstream_connections: u64,
    pub requests: u64,
    pub in_flight: u64,
    pub busy_ratio: f64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelStatus {
    pub model: String,
    pub requests: u64,
    pub failures: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
}

/// What a cache did since the data plane started. Money is in nano-dollars.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CacheStatus {
    pub cache: String,
    pub hits: u64,
    pub semantic_hits: u64,
    pub joined: u64,
    pub misses: u64,
    pub saved_tokens: u64,
    pub saved_nano_usd: u64,
    pub saved_ms: u64,
    /// Now.
    pub entries: u64,
    pub bytes: u64,
    pub semantic_entries: u64,
    /// Candidates by meaning that were not near enough, or that the verifier told apart.
    pub rejected_far: u64,
    pub rejected_different: u64,
    pub unindexed: u64,
    pub judged_right: u64,
    pub judged_wrong: u64,
    /// `mode: shadow`: what would have been served, and what of that said the same as the provider.
    pub shadow_hits: u64,
    pub shadow_same: u64,
    pub shadow_alike: u64,
    pub shadow_other: u64,
}

/// A call of `mode: shadow` that would have been served, beside its provider's answer. Similarities are in thousandths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CacheCompared {
    pub request_id: String,
    pub unix_ms: u64,
    pub cache: String,
    pub model: String,
    pub similarity: i32,
    pub answers: i32,
    /// `same`, `alike` or `other`.
    pub agreement: String,
}

/// A limit and how it stands. Budgets are in nano-dollars.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitStatus {
    /// `organization`, `team`, `user`, `key`, `model`, `tag` or `provider`.
    pub scope: String,
    pub name: String,
    /// `requests`, `tokens`, … as in the document.
    pub unit: String,
    /// `60s`, `month`; none of `concurrent`.
    pub per: Option<String>,
    pub enforced: bool,
    pub limit: u64,
    pub used: u64,
    pub remaining: u64,
    /// Used beyond the limit.
    #[serde(default)]
    pub debt: u64,
    #[serde(default)]
    pub hard: bool,
    #[serde(default)]
    pub cut: bool,
    /// Until all of it is there again.
    pub reset_ms: u64,
}

/// Of what a request says first, caches keep so much to purge by: no longer prefix finds anything.
pub const MAX_PURGE_PREFIX_BYTES: usize = 256;

/// Which answers caches are to forget: those that all of this is true of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Purge {
    /// The cache's name.
    pub cache: Option<String>,
    /// Of the key that the call came with whose answer it is.
    pub key: Option<String>,
    pub team: Option<String>,
    /// As it was asked for.
    pub model: Option<String>,
    /// `name=value`
    pub tag: Option<String>,
    /// How the first text of the request begins.
    pub prefix: Option<String>,
}

/// Something an operator may want to see happen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    pub unix_ms: u64,
    pub kind: String,
    pub text: String,
    /// The same for programs, where there is more to it than a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<serde_json::Value>,
}
