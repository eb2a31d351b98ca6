//! What is known of a request so far: the source of its record and of the headers that name it.

use std::{borrow::Cow, sync::Arc};

use tollgate_config::{document::Priority, prices::ServiceTier};
use tollgate_dialect::usage::Usage;

use crate::{
    Tick,
    compress::{Shorter, summary::Summary},
    cost::Cost,
    counted::{Late, Listed},
    exact::{Mark, Stored},
    exchange::{Local, Peer},
    guard::Finding,
    identity::KeyId,
    percent,
    record::{Media, Outcome},
    semantic::Agreed,
    snapshot::Resolved,
    surface::{self, Surface},
};

/// Longer names are cut off in the record; no provider's name of a model comes near.
pub(crate) const MAX_MODEL_NAME_BYTES: usize = 256;

/// Enough for what a provider says of a credential.
const MAX_REFUSAL_BYTES: usize = 512;

/// Does a client wait for the answer?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detached {
    /// One does.
    No,
    /// It is the copy of a call.
    Shadow,
    /// It sums up what was said in a call's conversation, for its caller.
    Summary,
    /// It is a look at a provider.
    Check,
    /// It asks for vectors that semantic caches go by.
    Embeds,
}

#[derive(Debug)]
pub(crate) struct Facts {
    pub started: Tick,
    pub peer: Option<Peer>,
    pub request_id: String,
    pub surface: &'static Surface,
    /// `Input::Head` came: `Io::request` may be read.
    pub has_head: bool,
    pub detached: Detached,
    pub head_request: bool,
    pub key: Option<KeyId>,
    pub model: Option<Resolved>,
    /// The provider that the path names: index into `document.providers`.
    pub direct: Option<usize>,
    pub model_asked: String,
    pub tags: String,
    /// W3C Trace Context.
    pub trace: Option<[u8; 16]>,
    pub timeout_ms: Option<u64>,
    /// The rank that the request wants to have at most.
    pub priority_asked: Option<Priority>,
    pub stream: bool,
    /// Zero until an answer's head goes out.
    pub status: u16,
    pub outcome: Outcome,
    pub rejected: Option<&'static str>,
    /// What the provider said when it refused the gateway's credential.
    pub refusal: String,
    pub usage: Option<Usage>,
    /// As asked for, until the answer names another.
    pub tier: ServiceTier,
    /// Known once the usage is final.
    pub cost: Option<Cost>,
    /// By targets that did not get to the end of the answer; `usage` is that of the last.
    pub spent: Option<Box<Spent>>,
    /// By answers that refused, for which another model's was given.
    pub declined: Option<Box<Spent>>,
    /// How often another target went on.
    pub resumed: u8,
    /// Whose work `usage` is, where it was done before.
    pub late: Option<Box<Late>>,
    /// Batches that a list has shown the end of.
    pub listed: Vec<Listed>,
    /// The answer is one that was given before.
    pub replayed: bool,
    /// What became of it at its model's cache.
    pub cache: Mark,
    /// The answer that was kept, where that is what it got.
    pub kept: Option<Arc<Stored>>,
    /// What guards found in it.
    pub findings: Vec<Finding>,
    /// By how much its prompt was made shorter, or would have been.
    pub compressed: Option<Shorter>,
    /// What became of a summary of its conversation.
    pub summary: Option<Summary>,
    /// How its answer compares with the first, which was to a longer prompt.
    pub agreed: Option<Agreed>,
    /// The shard's bound on its calls counts it.
    pub is_counted: bool,
    /// The gateway counted it itself.
    pub estimated: bool,
    pub media: Media,
    pub request_body_bytes: u64,
    pub response_body_bytes: u64,
    pub ended: Tick,
    pub first_token: Option<Tick>,
    /// Since when the upstream is waited for, and how long it was waited for before.
    waiting_since: Option<Tick>,
    waited_ns: u64,
    /// Fixed when the answer's head goes out.
    gateway_ns: Option<u64>,
}

#[derive(Debug, Default)]
pub(crate) struct Spent {
    pub usage: Usage,
    pub cost: Option<Cost>,
    pub estimated: bool,
}

impl Default for Facts {
    fn default() -> Self {
        Facts {
            started: Tick(0),
            peer: None,
            request_id: String::new(),
            surface: &surface::UNKNOWN,
            has_head: false,
            detached: Detached::No,
            head_request: false,
            key: None,
            model: None,
            direct: None,
            model_asked: String::new(),
            tags: String::new(),
            trace: None,
            timeout_ms: None,
            priority_asked: None,
            stream: false,
            status: 0,
            outcome: Outcome::Complete,
            rejected: None,
            refusal: String::new(),
            usage: None,
            tier: ServiceTier::Standard,
            cost: None,
            spent: None,
            declined: None,
            resumed: 0,
            late: None,
            listed: Vec::new(),
            replayed: false,
            cache: Mark::None,
            kept: None,
            findings: Vec::new(),
            compressed: None,
            summary: None,
            agreed: None,
            is_counted: false,
            estimated: false,
            media: Media::default(),
            request_body_bytes: 0,
            response_body_bytes: 0,
            ended: Tick(0),
            first_token: None,
            waiting_since: None,
            waited_ns: 0,
            gateway_ns: None,
        }
    }
}

impl Facts {
    /// The model's place among the snapshot's routes.
    pub fn route(&self) -> Option<usize> {
        self.model.as_ref().map(|found| found.model.0 as usize)
    }

    /// Forgets the last request and keeps its allocations.
    pub fn begin(&mut self, peer: Peer, started: Tick) {
        let kept = |mut text: String| {
            text.clear();
            text
        };
        let last = std::mem::take(self);
        *self = Facts {
            started,
            peer: Some(peer),
            request_id: kept(last.request_id),
            model_asked: kept(last.model_asked),
            tags: kept(last.tags),
            refusal: kept(last.refusal),
            ..Facts::default()
        };
    }

    /// An id that no other request of this boot and shard has: 16 digits of the seed and 16 of the sequence.
    pub fn make_request_id(&mut self, local: &mut Local) {
        local.sequence = local.sequence.wrapping_add(1);
        let id = u128::from(local.seed) << 64 | u128::from(local.sequence);
        let mut digits = [0; 32];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(id.to_be_bytes()) {
            pair.copy_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 15)]);
        }
        self.request_id.clear();
        self.request_id
            .push_str(str::from_utf8(&digits).expect("hexadecimal digits are ASCII"));
    }

    /// It is at nobody's charge.
    pub fn is_nobodys(&self) -> bool {
        matches!(self.detached, Detached::Shadow | Detached::Check)
    }

    /// No client waits for the answer.
    pub fn is_detached(&self) -> bool {
        self.detached != Detached::No
    }

    /// Keeps what a provider said of the gateway's credential, for the operator alone.
    pub fn note_refusal(&mut self, words: &str) {
        let mut end = words.len().min(MAX_REFUSAL_BYTES);
        while !words.is_char_boundary(end) {
            end -= 1;
        }
        self.refusal.clear();
        self.refusal.push_str(&words[..end]);
    }

    /// What a wildcard's star matched of the name asked for.
    pub fn star(&self) -> &str {
        let star = self.model.as_ref().map_or(0..0, |found| found.star.clone());
        self.model_asked.get(star).unwrap_or_default()
    }

    /// The model that a path names, where its surface has it there.
    pub fn model_in_path<'a>(&self, path: &'a [u8]) -> Option<Cow<'a, str>> {
        let name = self.surface.model_in_path(path).map(percent::decode)?;
        Some(match name {
            Cow::Borrowed(name) => String::from_utf8_lossy(name),
            Cow::Owned(name) => Cow::Owned(String::from_utf8_lossy(&name).into_owned()),
        })
    }

    /// From now on the upstream is waited for.
    pub fn wait_begins(&mut self, now: Tick) {
        self.wait_ends(now);
        self.waiting_since = Some(now);
    }

    pub fn wait_ends(&mut self, now: Tick) {
        if let Some(since) = self.waiting_since.take() {
            self.waited_ns += now.ns_since(since);
        }
    }

    /// The gateway's own time up to `now`, or to when the answer's head went out.
    pub fn gateway_ns(&self, now: Tick) -> u64 {
        let waiting_ns = self.waiting_since.map_or(0, |since| now.ns_since(since));
        self.gateway_ns
            .unwrap_or_else(|| now.ns_since(self.started).saturating_sub(self.waited_ns + waiting_ns))
    }

    /// The answer's head goes out.
    pub fn answer_begins(&mut self, status: u16, now: Tick) {
        self.wait_ends(now);
        self.gateway_ns = Some(self.gateway_ns(now));
        self.status = status;
    }
}

fn hex_digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble }
}
