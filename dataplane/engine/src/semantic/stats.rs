//! What a cache did by meaning, counted.

use super::Rejected;

/// Since the cache was first asked, in all parts together once they are added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub hits: u64,
    /// Candidates that were looked at and not served: not near enough, or different in what the verifier names.
    pub far: u64,
    pub differing: u64,
    /// Answers that are kept and cannot be found by meaning: there was no room on the way to the index, or in it.
    pub unindexed: u64,
    /// `mode: shadow`: what would have been served, and how many of those said the same as the provider then did.
    pub would_serve: u64,
    pub same: u64,
    pub alike: u64,
    pub other: u64,
    pub judged_right: u64,
    pub judged_wrong: u64,
    /// Now: answers that can be found.
    pub entries: u64,
}

impl Stats {
    pub(crate) fn add(&mut self, other: &Self) {
        let Self {
            hits,
            far,
            differing,
            unindexed,
            would_serve,
            same,
            alike,
            other: others,
            judged_right,
            judged_wrong,
            entries,
        } = self;
        *hits += other.hits;
        *far += other.far;
        *differing += other.differing;
        *unindexed += other.unindexed;
        *would_serve += other.would_serve;
        *same += other.same;
        *alike += other.alike;
        *others += other.other;
        *judged_right += other.judged_right;
        *judged_wrong += other.judged_wrong;
        *entries += other.entries;
    }

    pub(super) fn reject(&mut self, why: Rejected) {
        match why {
            Rejected::Far => self.far += 1,
            _ => self.differing += 1,
        }
    }

    pub(super) fn compared(&mut self, agreement: super::shadow::Agreement) {
        use super::shadow::Agreement;
        match agreement {
            Agreement::Same => self.same += 1,
            Agreement::Alike => self.alike += 1,
            Agreement::Other => self.other += 1,
            Agreement::Unread => {}
        }
    }
}
