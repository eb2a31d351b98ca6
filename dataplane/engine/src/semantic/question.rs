//! What was asked, beside an answer that is kept: so that it can be compared, and among what. Its words are read once, by the
//! indexes' writer, and what comparing needs of them is kept with them. Knows no cache and no index.

use std::{borrow::Cow, sync::OnceLock};

use tollgate_vector::{Asked as Compared, Embedder, Prepared};

use super::judge::{self, Rejected};

/// What a question's reading may take: so much, and so much more for each byte of it. Longer ones are read whenever they are
/// compared. The answer's share of its cache has room for that from the beginning.
const READING_BYTES: usize = 256;
const READING_BYTES_A_BYTE: usize = 4;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub partition: u128,
    /// The fingerprint of the model whose vectors that partition holds, and whose words it was read with.
    pub model: u64,
    pub text: Box<str>,
    /// By a byte a dimension, what it was found by where a provider made that and it is to outlive the process.
    pub vector: Box<[i8]>,
    reading: OnceLock<Prepared>,
}

impl Asked {
    pub fn new(partition: u128, model: u64, text: Box<str>) -> Self {
        Self {
            partition,
            model,
            text,
            vector: Box::default(),
            reading: OnceLock::new(),
        }
    }

    pub fn with_vector(self, vector: Box<[i8]>) -> Self {
        Self { vector, ..self }
    }

    /// Its words, and what is kept beside them sooner or later.
    pub fn bytes(&self) -> usize {
        self.text.len() + self.vector.len() + self.most_reading_bytes()
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
