//! What is to outlive the process of what it remembers of objects at providers (`Marks`): told by the shards, kept by the
//! control plane. Reports are made on the control thread; no request waits for one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crossbeam_channel::Receiver;
use tollgate_config::{
    link::{AnswerBody, Say},
    marks::{MARKS_AT_ONCE, Mark},
};
use tollgate_engine::{Marks, marks::MarkNews};

use super::connection::{Client, ConnectionId};

/// News of the shards that waits for the control thread.
pub const MARK_NEWS: usize = 16 * 1024;
/// What waits to be kept, and what was forgotten while nobody kept it. What is beyond that is found when a control plane
/// comes next: it says what it has, and the rest is known here. A mark of what is no more does no harm.
const MAX_UNKEPT: usize = 64 * 1024;

pub struct Keeping {
    marks: Arc<Marks>,
    news: Receiver<MarkNews>,
    /// Who keeps them, once it has said what it has.
    keeper: Option<Client>,
    /// It was told that there is something, and has not come for all of it.
    is_told: bool,
    /// Who is saying what it has, and what that is.
    saying: Option<(ConnectionId, BTreeMap<u128, u16>)>,
    made: BTreeMap<u128, u16>,
    gone: BTreeSet<u128>,
    /// Taken, and not yet said to be kept; its number is `reports`.
    under_way: Option<UnderWay>,
    reports: u64,
}

#[derive(Clone, Default)]
struct UnderWay {
    made: Vec<Mark>,
    gone: Vec<Mark>,
}

impl Keeping {
    pub fn new(marks: Arc<Marks>, news: Receiver<MarkNews>) -> Self {
        Self {
            marks,
            news,
            keeper: None,
            is_told: false,
            saying: None,
            made: BTreeMap::new(),
            gone: BTreeSet::new(),
            under_way: None,
            reports: 0,
        }
    }

    pub fn news(&self) -> &Receiver<MarkNews> {
        &self.news
    }

    /// Takes what a shard told, and what waits behind it.
    pub fn take(&mut self, first: Option<MarkNews>) {
        let Some(first) = first else {
            // The shards are gone, and with them all news.
            self.news = crossbeam_channel::never();
            return;
        };
        self.note(first);
        self.take_waiting();
        self.tell();
    }

    fn take_waiting(&mut self) {
        while let Ok(news) = self.news.try_recv() {
            self.note(news);
        }
    }

    fn note(&mut self, news: MarkNews) {
        match news {
            MarkNews::Made(mark) => {
                self.gone.remove(&mark.id);
                // While there is no keeper, what the next one lacks is found when it comes.
                if self.keeper.is_some() && self.made.len() < MAX_UNKEPT {
                    self.made.insert(mark.id, mark.tag);
                }
            }
            MarkNews::Gone(Mark { id, .. }) => {
                self.made.remove(&id);
                if self.gone.len() < MAX_UNKEPT {
                    self.gone.insert(id);
                }
            }
        }
    }

    /// A piece of what the store of a control plane has. With the last, what it lacks is known.
    pub fn given(&mut self, client: &Client, marks: &[Mark], last: bool) {
        self.take_waiting();
        let had = match &mut self.saying {
            Some((by, had)) if *by == client.id => had,
            saying => &mut saying.insert((client.id, BTreeMap::new())).1,
        };
        for mark in marks {
            had.insert(mark.id, mark.tag);
            if !self.gone.contains(&mark.id) && self.marks.tag(mark.id).is_none() {
                self.marks.note(*mark);
            }
        }
        if !last {
            return;
        }
        let (_, had) = self.saying.take().unwrap_or_default();
        let lacks = |mark: &Mark| had.get(&mark.id) != Some(&mark.tag);
        self.made = self.marks.all().filter(lacks).map(|mark| (mark.id, mark.tag)).collect();
        self.gone.retain(|id| had.contains_key(id));
        self.under_way = None;
        self.is_told = false;
        self.keeper = Some(client.clone());
        self.marks.completed();
        self.tell();
    }

    /// What the store lacks, once more as long as it does not say that it has the last report.
    pub fn report(&mut self, kept: u64) -> AnswerBody {
        self.take_waiting();
        if kept == self.reports {
            self.under_way = None;
        }
        if self.under_way.is_none() && !(self.made.is_empty() && self.gone.is_empty()) {
            self.reports += 1;
            let made = std::iter::from_fn(|| self.made.pop_first()).take(MARKS_AT_ONCE);
            let gone = std::iter::from_fn(|| self.gone.pop_first()).take(MARKS_AT_ONCE);
            self.under_way = Some(UnderWay {
                made: made.map(|(id, tag)| Mark { id, tag }).collect(),
                gone: gone.map(|id| Mark { id, tag: 0 }).collect(),
            });
        }
        // Who has taken all is told when there is more.
        self.is_told = self.under_way.is_some();
        let UnderWay { made, gone } = self.under_way.clone().unwrap_or_default();
        let report = self.reports;
        AnswerBody::Marks { report, made, gone }
    }

    /// A connection has ended: what its other end did not say to have kept is found again when one comes.
    pub fn left(&mut self, id: ConnectionId) {
        if self.saying.as_ref().is_some_and(|(by, _)| *by == id) {
            self.saying = None;
        }
        if self.keeper.as_ref().is_some_and(|keeper| keeper.id == id) {
            self.keeper = None;
            self.made.clear();
            let under_way = self.under_way.take().unwrap_or_default();
            self.gone.extend(under_way.gone.iter().map(|mark| mark.id));
        }
    }

    fn tell(&mut self) {
        let Some(keeper) = self.keeper.as_ref().filter(|_| !self.is_told) else {
            return;
        };
        if !self.made.is_empty() || !self.gone.is_empty() {
            keeper.say(Say::MarksNoted, Vec::new());
            self.is_told = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::{Receiver, Sender, bounded};

    use super::*;

    fn mark(n: u128) -> Mark {
        Mark {
            id: (n << 64) + n,
            tag: n as u16,
        }
    }

    /// What shards do and a control plane asks.
    struct Bench {
        marks: Arc<Marks>,
        shard: Sender<MarkNews>,
        keeping: Keeping,
    }

    impl Bench {
        fn new() -> Bench {
            let marks = Arc::new(Marks::awaiting());
            let (shard, news) = bounded(4);
            let keeping = Keeping::new(Arc::clone(&marks), news);
            Bench { marks, shard, keeping }
        }

        fn make(&mut self, n: u128) {
            assert!(self.marks.note(mark(n)));
            let _ = self.shard.try_send(MarkNews::Made(mark(n)));
        }

        fn forget(&mut self, n: u128) {
            assert!(self.marks.forget(mark(n).id));
            let _ = self.shard.try_send(MarkNews::Gone(mark(n)));
        }

        /// What the control thread does when it is woken.
        fn wake(&mut self) {
            while let Ok(news) = self.keeping.news().try_recv() {
                self.keeping.take(Some(news));
            }
        }

        fn comes(&mut self, id: ConnectionId, kept: &[u128]) -> Receiver<(Say, Vec<std::os::fd::OwnedFd>)> {
            let (client, says) = Client::with_nobody_behind(id);
            let marks: Vec<Mark> = kept.iter().map(|n| mark(*n)).collect();
            let (first, rest) = marks.split_at(marks.len() / 2);
            self.keeping.given(&client, first, false);
            self.keeping.given(&client, rest, true);
            says
        }

        fn take(&mut self, kept: u64) -> (u64, Vec<Mark>, Vec<u128>) {
            match self.keeping.report(kept) {
                AnswerBody::Marks { report, made, gone } => (report, made, gone.iter().map(|mark| mark.id).collect()),
                _ => panic!("no report"),
            }
        }
    }

    #[test]
    fn what_is_noted_is_told_once_and_given_until_it_is_kept() {
        let mut bench = Bench::new();
        let says = bench.comes(1, &[1, 2, 3]);
        assert!(bench.marks.is_complete() && says.is_empty());
        assert_eq!(bench.marks.tag(mark(2).id), Some(2));
        bench.make(7);
        bench.forget(1);
        bench.wake();
        bench.make(8);
        bench.wake();
        assert!(matches!(says.try_recv(), Ok((Say::MarksNoted, _))) && says.is_empty());
        let report = (1, vec![mark(7), mark(8)], vec![mark(1).id]);
        assert_eq!(bench.take(0), report);
        bench.forget(8);
        assert_eq!(bench.take(0), report, "until it is said to be kept");
        assert_eq!(bench.take(1), (2, vec![], vec![mark(8).id]));
        assert_eq!(bench.take(2), (2, vec![], vec![]));
        bench.make(9);
        bench.wake();
        assert!(says.try_recv().is_ok(), "told again once it had taken all");
    }

    #[test]
    fn who_comes_next_is_given_what_it_lacks_and_brings_nothing_back() {
        let mut bench = Bench::new();
        bench.comes(1, &[1, 2]);
        bench.make(3);
        bench.wake();
        // Taken, and never said to be kept; then more than the news have room for.
        bench.forget(1);
        assert_eq!(bench.take(0), (1, vec![mark(3)], vec![mark(1).id]));
        bench.keeping.left(1);
        for n in 10..30 {
            bench.make(n);
        }
        let says = bench.comes(2, &[1, 2, 3]);
        assert!(says.try_recv().is_ok());
        assert_eq!(bench.take(0), (2, (10..30).map(mark).collect(), vec![mark(1).id]));
        assert_eq!(bench.marks.tag(mark(1).id), None, "what is gone stays gone");
        bench.keeping.left(2);
        // A store that was lost gets everything.
        bench.comes(3, &[]);
        let all = [2, 3].into_iter().chain(10..30).map(mark).collect();
        assert_eq!(bench.take(0), (3, all, vec![]));
    }
}
