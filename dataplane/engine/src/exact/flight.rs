//! Calls under way whose answers will be kept: what has come of each, for those that ask the same meanwhile.

use std::sync::Arc;

use hashbrown::HashMap;
use tollgate_dialect::usage::Usage;

use super::{About, Form};
use crate::{Tick, cost::Cost};

/// Of one part of the table.
const MOST: usize = 4_096;
/// Of an answer that is too long to be kept, but that others are sent as it comes.
pub const MAX_SHARED_BYTES: usize = 16 << 20;
/// Of all such answers together, in one part of the table.
const MAX_LOST_BYTES: u64 = 32 << 20;
/// Of what has come, at one look: the lock is held while it is copied.
const MOST_FOLLOWED_BYTES: usize = 256 << 10;

/// What goes before an answer's body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub form: Form,
    /// Header lines, and behind them the content's type: there are many of these, and each piece of memory costs.
    text: Box<[u8]>,
    lines_bytes: usize,
}

impl Head {
    pub fn new(form: Form, content_type: &[u8], mut lines: Vec<u8>) -> Self {
        let lines_bytes = lines.len();
        lines.extend_from_slice(content_type);
        Self {
            form,
            text: lines.into(),
            lines_bytes,
        }
    }

    /// Header lines but for those that each answer has of its own.
    pub fn lines(&self) -> &[u8] {
        self.text.get(..self.lines_bytes).unwrap_or_default()
    }

    pub fn content_type(&self) -> &[u8] {
        self.text.get(self.lines_bytes..).unwrap_or_default()
    }

    pub fn bytes(&self) -> usize {
        self.text.len()
    }
}

#[derive(Debug)]
pub(super) struct Flight {
    key: u128,
    about: Arc<About>,
    /// When somebody last asked for it.
    asked: Option<Tick>,
    head: Option<Arc<Head>>,
    body: Body,
    /// So many are sent it as it comes.
    live: u32,
    /// Did it come to a good end?
    ended: Option<bool>,
    /// Whatever becomes of it, it is not kept.
    lost: bool,
    /// Known when all of it has come.
    spent: Spent,
}

#[derive(Debug)]
enum Body {
    Grows(Vec<u8>),
    /// Whoever runs the call has it, so many bytes: nobody is sent it as it comes, or all of it has come and is being made into
    /// what is kept, while nobody is kept waiting.
    Away(usize),
    Whole(Arc<[u8]>),
}

impl Body {
    fn bytes(&self) -> &[u8] {
        match self {
            Body::Grows(bytes) => bytes,
            Body::Away(_) => &[],
            Body::Whole(bytes) => bytes,
        }
    }

    fn length(&self) -> usize {
        match self {
            Body::Away(length) => *length,
            Body::Grows(_) | Body::Whole(_) => self.bytes().len(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Flights {
    all: HashMap<u64, Flight>,
    /// By what is asked: the call that those who ask now wait for.
    leading: HashMap<u128, u64>,
    /// Of what has come and may be kept, by cache.
    coming: HashMap<Arc<str>, u64>,
    /// Of what has come and will not be kept.
    lost_bytes: u64,
    numbers: u64,
}

/// What whoever made an answer used for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    pub usage: Option<Usage>,
    pub cost: Option<Cost>,
    pub took_ns: u64,
}

/// How far an answer is that comes for others as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Goes,
    Ended,
    /// It broke, or is too long to be shared.
    Broke,
}

impl Flights {
    /// The call that is under way for this, and its head where that has come.
    pub fn asked(&mut self, now: Tick, key: u128) -> Option<(u64, Option<Arc<Head>>)> {
        let number = *self.leading.get(&key)?;
        let flight = self.all.get_mut(&number)?;
        flight.asked = Some(now);
        Some((number, flight.head.clone()))
    }

    /// A call begins. Where it `leads` others may wait for it, unless they wait for one already. `None` where there are too
    /// many.
    pub fn begin(&mut self, key: u128, about: Arc<About>, leads: bool) -> Option<u64> {
        if self.all.len() >= MOST {
            return None;
        }
        self.numbers += 1;
        let flight = Flight {
            key,
            about,
            asked: None,
            head: None,
            body: Body::Grows(Vec::new()),
            live: 0,
            ended: None,
            lost: false,
            spent: Spent::default(),
        };
        self.all.insert(self.numbers, flight);
        if leads {
            self.leading.entry(key).or_insert(self.numbers);
        }
        Some(self.numbers)
    }

    pub fn set_head(&mut self, number: u64, head: Arc<Head>) {
        if let Some(flight) = self.all.get_mut(&number) {
            flight.head = Some(head);
        }
    }

    /// More of the answer. It is lost where it is longer than `most_bytes`, or all that come are more than `room_bytes`.
    pub fn push(&mut self, number: u64, bytes: &[u8], (most_bytes, room_bytes): (u64, u64)) {
        let Some(flight) = self.all.get_mut(&number) else {
            return;
        };
        let Body::Grows(body) = &mut flight.body else { return };
        let (length, more) = (body.len() + bytes.len(), bytes.len() as u64);
        let coming = self.coming.entry_ref(&*flight.about.cache).or_default();
        if !flight.lost && (length as u64 > most_bytes || *coming + more > room_bytes) {
            flight.lost = true;
            *coming -= body.len() as u64;
            self.lost_bytes += body.len() as u64;
        }
        let is_shared = flight.live > 0 && length <= MAX_SHARED_BYTES && self.lost_bytes + more <= MAX_LOST_BYTES;
        if !flight.lost || is_shared {
            body.extend_from_slice(bytes);
            *(if flight.lost { &mut self.lost_bytes } else { coming }) += more;
            return;
        }
        self.lost_bytes -= body.len() as u64;
        *body = Vec::new();
        self.release(number);
        // Who is sent it cannot have the rest.
        self.over(number, false);
    }

    /// The same of an answer that nobody is sent as it comes: whoever runs the call has it. False where it is lost.
    pub fn grow(&mut self, number: u64, more: usize, (most_bytes, room_bytes): (u64, u64)) -> bool {
        let Some(flight) = self.all.get_mut(&number) else {
            return false;
        };
        let (held, more) = (flight.body.length() as u64, more as u64);
        let coming = self.coming.entry_ref(&*flight.about.cache).or_default();
        if !flight.lost && held + more <= most_bytes && *coming + more <= room_bytes {
            *coming += more;
            flight.body = Body::Away((held + more) as usize);
            return true;
        }
        *(if flight.lost { &mut self.lost_bytes } else { coming }) -= held;
        (flight.lost, flight.body) = (true, Body::Away(0));
        self.over(number, false);
        false
    }

    /// Nobody waits for it any more.
    fn release(&mut self, number: u64) {
        if let Some(flight) = self.all.get(&number)
            && self.leading.get(&flight.key) == Some(&number)
        {
            let key = flight.key;
            self.leading.remove(&key);
        }
    }

    /// Has somebody asked for it since then, or is sent it?
    pub fn is_wanted(&self, number: u64, then: Tick) -> bool {
        let wanted = |flight: &Flight| {
            flight.ended.is_none() && (flight.live > 0 || flight.asked.is_some_and(|asked| asked >= then))
        };
        self.all.get(&number).is_some_and(wanted)
    }

    /// One more is sent it as it comes.
    pub fn join(&mut self, number: u64) -> bool {
        match self.all.get_mut(&number) {
            Some(flight) if flight.ended.is_none() && !flight.lost => {
                flight.live += 1;
                true
            }
            _ => false,
        }
    }

    /// What has come behind the first `from` bytes.
    pub fn follow(&self, number: u64, from: usize, out: &mut Vec<u8>) -> Progress {
        let Some(flight) = self.all.get(&number) else {
            return Progress::Broke;
        };
        if flight.ended == Some(false) {
            return Progress::Broke;
        }
        let rest = flight.body.bytes().get(from..).unwrap_or_default();
        let some = rest.get(..MOST_FOLLOWED_BYTES).unwrap_or(rest);
        out.extend_from_slice(some);
        match flight.ended {
            Some(_) if some.len() == rest.len() => Progress::Ended,
            _ => Progress::Goes,
        }
    }

    pub fn part(&mut self, number: u64) {
        if let Some(flight) = self.all.get_mut(&number) {
            flight.live = flight.live.saturating_sub(1);
        }
        self.drop_if_over(number);
    }

    /// All of it has come. Takes it, to give it back as `freeze` wants it: it is copied with the lock free.
    pub fn take(&mut self, number: u64) -> Option<Vec<u8>> {
        let flight = self.all.get_mut(&number).filter(|flight| flight.ended.is_none())?;
        let Body::Grows(body) = &mut flight.body else {
            return None;
        };
        let body = std::mem::take(body);
        flight.body = Body::Away(body.len());
        Some(body)
    }

    /// True where it may be kept.
    pub fn freeze(&mut self, number: u64, whole: Arc<[u8]>, spent: Spent) -> bool {
        let Some(flight) = self.all.get_mut(&number).filter(|flight| flight.ended.is_none()) else {
            return false;
        };
        flight.body = Body::Whole(whole);
        flight.ended = Some(true);
        flight.spent = spent;
        !flight.lost
    }

    pub fn spent(&self, number: u64) -> Spent {
        self.all.get(&number).map_or(Spent::default(), |flight| flight.spent)
    }

    pub fn is_lost(&self, number: u64) -> bool {
        self.all.get(&number).is_none_or(|flight| flight.lost)
    }

    /// Whoever ran it has ended.
    pub fn over(&mut self, number: u64, well: bool) {
        self.release(number);
        if let Some(flight) = self.all.get_mut(&number) {
            flight.ended.get_or_insert(well);
        }
        self.drop_if_over(number);
    }

    fn drop_if_over(&mut self, number: u64) {
        let over = |flight: &Flight| {
            flight.ended.is_some() && flight.live == 0 && self.leading.get(&flight.key) != Some(&number)
        };
        if self.all.get(&number).is_some_and(over)
            && let Some(flight) = self.all.remove(&number)
        {
            let bytes = flight.body.length() as u64;
            if flight.lost {
                self.lost_bytes -= bytes;
            } else if let Some(coming) = self.coming.get_mut(&flight.about.cache) {
                // What is zero stays for the next; a cache that is none any more is purged.
                *coming -= bytes;
            }
        }
    }

    /// What is under way is not kept where it is of these; who asks now begins anew.
    pub fn purge(&mut self, is_of: impl Fn(&About) -> bool) {
        let Self {
            all,
            leading,
            coming,
            lost_bytes,
            ..
        } = self;
        for (number, flight) in all.iter_mut().filter(|(_, flight)| is_of(&flight.about)) {
            if !flight.lost {
                flight.lost = true;
                let bytes = flight.body.length() as u64;
                *lost_bytes += bytes;
                if let Some(coming) = coming.get_mut(&flight.about.cache) {
                    *coming -= bytes;
                }
            }
            if leading.get(&flight.key) == Some(number) {
                leading.remove(&flight.key);
            }
        }
        coming.retain(|_, bytes| *bytes > 0);
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
            && self.leading.is_empty()
            && self.lost_bytes == 0
            && self.coming.values().all(|bytes| *bytes == 0)
    }
}
