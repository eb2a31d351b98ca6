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
        }
    }

    pub fn with_vector(self, kept_vector: Box<[i8]>) -> Self {
        Self { kept_vector, ..self }
    }

    /// Its words, and what is kept beside them sooner or later.
    pub fn bytes(&self) -> usize {
        let earlier = self.earlier.iter().map(|text| size_of::<Box<str>>() + text.len());
        self.text.len() + self.kept_vector.len() + self.most_reading_bytes() + earlier.sum::<usize>()
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
            let earlier = self.earlier_vector(embedder, scratch);
            vector.iter_mut().zip(&earlier).for_each(|(one, other)| *one += other);
            let length = dot(&vector, &vector).sqrt();
            if length > 0.0 {
                vector.iter_mut().for_each(|value| *value /= length);
            }
        }
        Some(vector)
    }

    fn earlier_vector(&self, embedder: &Embedder, scratch: &mut Scratch) -> Vec<f32> {
        let mut vector = vec![0.0; embedder.dims()];
        embedder.embed(&self.earlier.join("\n"), scratch, &mut vector);
        vector
    }

    /// Bytes of both that comparing has to read: those of what is not equal.
    pub fn compared_bytes(&self, before: &Self) -> usize {
        let earlier = self.earlier.iter().zip(&before.earlier);
        let differ = earlier.filter(|(now, before)| now != before);
        let differ = differ.map(|(now, before)| now.len() + before.len());
        self.text.len() + before.text.len() + differ.sum::<usize>()
    }

    /// Is what was said before the same, text by text and all together, at least as near as that?
    pub fn has_history_of(
        &self,
        (embedder, scratch): (&Embedder, &mut Scratch),
        before: &Self,
        needs: f32,
    ) -> Result<(), Rejected> {
        if self.earlier == before.earlier {
            return Ok(());
        }
        if self.earlier.len() != before.earlier.len() {
            return Err(Rejected::HistoryLength);
        }
        let near = dot(
            &self.earlier_vector(embedder, scratch),
            &before.earlier_vector(embedder, scratch),
        );
        if !judge::is_near((near, needs)) {
            return Err(Rejected::HistoryFar(near));
        }
        let texts = before.earlier.iter().zip(&self.earlier).enumerate();
        for (at, (before, now)) in texts.filter(|(_, (before, now))| before != now) {
            judge::say_the_same(embedder, before, now).map_err(|why| Rejected::HistoryDiffers(at + 1, why))?;
        }
        Ok(())
    }

    fn most_reading_bytes(&self) -> usize {
        READING_BYTES + READING_BYTES_A_BYTE * self.text.len()
    }

    /// Reads it, so that those who ask next need not.
    pub fn prepare(&self, embedder: &Embedder) {
        if self.reading.get().is_none() {
            self.keep(judge::prepare(embedder, &self.text));
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
