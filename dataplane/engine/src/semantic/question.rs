//! What was asked, beside an answer that is kept: so that it can be compared, and among what. Its words are read once, by the
//! indexes' writer, and what comparing needs of them is kept with them. Knows no cache and no index.

use std::{borrow::Cow, sync::OnceLock};

use tollgate_vector::{Asked as Compared, Embedder, Prepared, Scratch};

use super::{
    judge::{self, Rejected},
    node::dot,
};

/// What a question's reading may take: so much, and so much more for each byte of it. Longer ones are read whenever they are
/// compared. The answer's share of its cache has room for that from the beginning.
const READING_BYTES: usize = 384;
const READING_BYTES_A_BYTE: usize = 4;
/// What the vector of an earlier conversation may take: twice what the shipped model's does. One of a longer model is made
/// whenever it is compared.
const EARLIER_VECTOR_BYTES: usize = 512;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub partition: u128,
    /// The fingerprint of the model whose vectors that partition holds, and whose words it was read with.
    pub model: u64,
    pub text: Box<str>,
    /// What was said before it, where that was not part of what must be equal.
    pub earlier: Box<[Box<str>]>,
    /// By a byte a dimension, what it was found by where a provider made that and it is to outlive the process.
    pub kept_vector: Box<[i8]>,
    reading: OnceLock<Prepared>,
    /// Of what was said before it, by a byte a dimension.
    earlier_vector: OnceLock<Box<[i8]>>,
}

impl Asked {
    pub fn new(partition: u128, model: u64, (text, earlier): (Box<str>, Box<[Box<str>]>)) -> Self {
        Self {
            partition,
            model,
            text,
            earlier,
            kept_vector: Box::default(),
            reading: OnceLock::new(),
            earlier_vector: OnceLock::new(),
        }
    }

    pub fn with_vector(self, kept_vector: Box<[i8]>) -> Self {
        Self { kept_vector, ..self }
    }

    /// Its words, and what is kept beside them sooner or later.
    pub fn bytes(&self) -> usize {
        let vector = if self.earlier.is_empty() {
            0
        } else {
            EARLIER_VECTOR_BYTES
        };
        let earlier = self.earlier.iter().map(|text| size_of::<Box<str>>() + text.len());
        self.text.len() + self.kept_vector.len() + self.most_reading_bytes() + vector + earlier.sum::<usize>()
    }

    /// Of the shipped model, or another that is here: of its words, and of what was said before them in equal parts. None where
    /// the model knows none of the words.
    pub fn vector(&self, embedder: &Embedder, scratch: &mut Scratch) -> Option<Box<[f32]>> {
        // Kept with the call until its answer is: a kilobyte.
        let mut vector = vec![0.0; embedder.dims()].into_boxed_slice();
        if embedder.embed(&self.text, scratch, &mut vector) == 0 {
            return None;
        }
        if !self.earlier.is_empty() {
            let earlier = self.embed_earlier(embedder, scratch);
            self.keep_earlier(&earlier);
            vector.iter_mut().zip(&earlier).for_each(|(one, other)| *one += other);
            let length = dot(&vector, &vector).sqrt();
            if length > 0.0 {
                vector.iter_mut().for_each(|value| *value /= length);
            }
        }
        Some(vector)
    }

    fn embed_earlier(&self, embedder: &Embedder, scratch: &mut Scratch) -> Vec<f32> {
        let mut vector = vec![0.0; embedder.dims()];
        embedder.embed(&self.earlier.join("\n"), scratch, &mut vector);
        vector
    }

    fn keep_earlier(&self, vector: &[f32]) {
        if vector.len() <= EARLIER_VECTOR_BYTES {
            // Another may have made it meanwhile, and it is the same.
            let _ = self.earlier_vector.set(tollgate_vector::to_bytes(vector));
        }
    }

    /// Of what was said before it: as it is kept, or made now.
    fn earlier_vector(&self, embedder: &Embedder, scratch: &mut Scratch) -> Cow<'_, [i8]> {
        match self.earlier_vector.get().filter(|kept| kept.len() == embedder.dims()) {
            Some(kept) => Cow::Borrowed(kept),
            None => Cow::Owned(tollgate_vector::to_bytes(&self.embed_earlier(embedder, scratch)).into()),
        }
    }

    /// Bytes of both that comparing has to read: those of what is not equal, and all that was said before where that differs
    /// and its vector is not kept.
    pub fn compared_bytes(&self, before: &Self) -> usize {
        let earlier = self.earlier.iter().zip(&before.earlier);
        let differ = earlier.filter(|(now, before)| now != before);
        let differ: usize = differ.map(|(now, before)| now.len() + before.len()).sum();
        let embedded = match before.earlier_vector.get() {
            None if differ > 0 => before.earlier.iter().map(|text| text.len()).sum(),
            _ => 0,
        };
        self.text.len() + before.text.len() + differ + embedded
    }

    /// Is what was said before the same, text by text and all together, at least as near as that? Most that differ do so in a
    /// text, which is the cheaper look. `own`: the vector of what was said before this, once it is known.
    pub fn has_history_of<'o>(
        &'o self,
        (embedder, scratch): (&Embedder, &mut Scratch),
        before: &Self,
        needs: f32,
        own: &mut Option<Cow<'o, [i8]>>,
    ) -> Result<(), Rejected> {
        if self.earlier == before.earlier {
            return Ok(());
        }
        if self.earlier.len() != before.earlier.len() {
            return Err(Rejected::HistoryLength);
        }
        let texts = before.earlier.iter().zip(&self.earlier).enumerate();
        for (at, (before, now)) in texts.filter(|(_, (before, now))| before != now) {
            judge::states_the_same(embedder, before, now).map_err(|why| Rejected::HistoryDiffers(at + 1, why))?;
        }
        let own = own.get_or_insert_with(|| self.earlier_vector(embedder, scratch));
        let near = cosine(own, &before.earlier_vector(embedder, scratch));
        match judge::is_near((near, needs)) {
            true => Ok(()),
            false => Err(Rejected::HistoryFar(near)),
        }
    }

    fn most_reading_bytes(&self) -> usize {
        READING_BYTES + READING_BYTES_A_BYTE * self.text.len()
    }

    /// Reads it, and what was said before it, so that those who ask next need not.
    pub fn prepare(&self, embedder: &Embedder) {
        if self.reading.get().is_none() {
            self.keep(judge::prepare(embedder, &self.text));
        }
        if !self.earlier.is_empty() && self.earlier_vector.get().is_none() {
            self.keep_earlier(&self.embed_earlier(embedder, &mut Scratch::default()));
        }
    }

    /// Keeps what was read of it, where there is room for that.
    pub fn keep(&self, reading: Prepared) {
        if reading.bytes() <= self.most_reading_bytes() {
            // Another may have read it meanwhile, and found the same.
            let _ = self.reading.set(reading);
        }
    }

    /// May the answer to `before` be served for this? `read`: this, read for the first that it is compared with.
    pub fn may_be_served(
        &self,
        embedder: &Embedder,
        nearness: (f32, f32),
        before: &Self,
        read: &mut Option<Prepared>,
    ) -> Result<(), Rejected> {
        if !judge::is_near(nearness) {
            return Err(Rejected::Far);
        }
        let reading = match before.reading.get() {
            Some(reading) => Cow::Borrowed(reading),
            None => Cow::Owned(judge::prepare(embedder, &before.text)),
        };
        let before = Compared {
            text: &before.text,
            prepared: &reading,
        };
        let now = Compared {
            text: &self.text,
            prepared: read.get_or_insert_with(|| judge::prepare(embedder, &self.text)),
        };
        judge::may_serve_prepared(embedder, before, now)
    }
}

/// Of vectors by a byte a dimension. One that says nothing is near to none.
fn cosine(one: &[i8], other: &[i8]) -> f32 {
    let dot = |one: &[i8], other: &[i8]| -> f32 {
        let products = one
            .iter()
            .zip(other)
            .map(|(&one, &other)| i32::from(one) * i32::from(other));
        products.sum::<i32>() as f32
    };
    let lengths = (dot(one, one) * dot(other, other)).sqrt();
    if lengths > 0.0 { dot(one, other) / lengths } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(earlier: &[&str]) -> Asked {
        let earlier = earlier.iter().map(|&text| text.into()).collect();
        Asked::new(1, 2, ("which tools do I need".into(), earlier))
    }

    /// The same work for each of eight candidates holds a shard for long.
    #[test]
    fn what_was_said_before_is_embedded_once_for_all_who_compare() {
        let (embedder, mut scratch) = (
            Embedder::shipped().expect("it is part of the binary"),
            Scratch::default(),
        );
        let texts = ["how do I mend a flat tyre", "with a patch and a pump"];
        let (now, before) = (asked(&texts), asked(&["how can I mend a flat tyre", texts[1]]));
        let (room, both) = (before.bytes(), now.compared_bytes(&before));
        assert!(now.vector(&embedder, &mut scratch).is_some());
        before.prepare(&embedder);
        let kept = before.earlier_vector.get().expect("it is kept");
        assert!(kept.len() <= EARLIER_VECTOR_BYTES && before.bytes() == room);
        assert!(
            now.clone().earlier_vector.get().is_some(),
            "the entry has what the call made"
        );
        let whole: usize = before.earlier.iter().map(|text| text.len()).sum();
        assert_eq!(both - now.compared_bytes(&before), whole, "who has none is read whole");
        assert_eq!(asked(&[]).bytes() + EARLIER_VECTOR_BYTES, {
            let words = texts.iter().map(|text| text.len() + size_of::<Box<str>>());
            now.bytes() - words.sum::<usize>()
        });
        assert!(cosine(kept, now.earlier_vector.get().expect("made")) > 0.9);
        assert_eq!(cosine(&[0, 0], &[1, 2]), 0.0);
        assert!((cosine(&[3, 4], &[6, 8]) - 1.0).abs() < 1e-6);
    }
}
