//! A thread's memory of answers already composed: benchmarks ask the same thing again and again, and then the sandbox
//! compares and copies instead of parsing and composing. Bounded; a collision replaces.

use super::ask::Dialect;

const SLOTS: usize = 64;
/// Longer requests are composed every time: 64 of them would be too much to hold.
const MAX_REQUEST_BYTES: usize = 256 * 1024;
const MAX_ANSWER_BYTES: usize = 256 * 1024;

struct Entry {
    dialect: Dialect,
    request: Vec<u8>,
    /// The whole answer, and where in it the request's id stands.
    answer: Vec<u8>,
    id_at: usize,
}

/// Answers by request body, for requests that wish for nothing special.
#[derive(Default)]
pub struct Memo {
    slots: Vec<Option<Entry>>,
}

impl Memo {
    pub fn get(&self, dialect: Dialect, request: &[u8]) -> Option<(&[u8], usize)> {
        let entry = self.slots.get(slot(request))?.as_ref()?;
        (entry.dialect == dialect && entry.request == request).then_some((&entry.answer[..], entry.id_at))
    }

    pub fn put(&mut self, dialect: Dialect, request: &[u8], answer: &[u8], id_at: usize) {
        if request.len() > MAX_REQUEST_BYTES || answer.len() > MAX_ANSWER_BYTES {
            return;
        }
        self.slots.resize_with(SLOTS, || None);
        self.slots[slot(request)] = Some(Entry {
            dialect,
            request: request.to_vec(),
            answer: answer.to_vec(),
            id_at,
        });
    }
}

/// Chosen by length and a few sampled bytes: `get` compares the whole anyway.
fn slot(request: &[u8]) -> usize {
    let step = (request.len() / 16).max(1);
    let sampled = request.iter().step_by(step).fold(request.len(), |hash, &byte| {
        hash.wrapping_mul(31).wrapping_add(byte as usize)
    });
    sampled % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_request_of_the_same_dialect_is_remembered() {
        let mut memo = Memo::default();
        assert_eq!(memo.get(Dialect::OpenAi, b"a"), None);
        memo.put(Dialect::OpenAi, b"a", b"answer", 3);
        assert_eq!(memo.get(Dialect::OpenAi, b"a"), Some((&b"answer"[..], 3)));
        assert_eq!(memo.get(Dialect::Anthropic, b"a"), None);
        assert_eq!(memo.get(Dialect::OpenAi, b"b"), None);
    }
}
