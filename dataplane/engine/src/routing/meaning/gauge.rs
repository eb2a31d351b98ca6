//! Judges prompts outside of any call, with what calls are judged with: for whoever measures it or makes weights.

use tollgate_config::{Problem, document::Embedding};
use tollgate_vector::{Complexity, Embedder, Traits};

use super::{Meaning, Prompt, Read, Workspace};
use crate::snapshot::Secrets;

/// An embedding model and the weights of the complexity router, as a snapshot has them.
pub struct Gauge(Meaning);

/// What a prompt was found to be like.
pub struct Gauged {
    pub text: String,
    pub traits: Traits,
    pub vector: Vec<f32>,
    /// How much it gains by the hard tier; none without weights.
    pub gain: Option<f32>,
}

impl Gauge {
    /// `files` holds what `meaning::files` names. Weights are loaded where they are named, and the shipped ones where
    /// complexity is judged.
    pub fn load(embedding: &Embedding, judges_complexity: bool, files: &Secrets) -> Result<Self, Vec<Problem>> {
        let mut faults = Vec::new();
        match Meaning::load(embedding, judges_complexity, files, &mut faults) {
            Some(meaning) if faults.is_empty() => Ok(Self(meaning)),
            _ => Err(faults),
        }
    }

    pub fn embedder(&self) -> &Embedder {
        &self.0.embedder
    }

    pub fn complexity(&self) -> Option<&Complexity> {
        self.0.complexity.as_deref()
    }

    /// Of a request's body, as a client would send it.
    pub fn gauge(&self, body: &[u8], workspace: &mut Workspace) -> Gauged {
        let mut read = Read::default();
        self.0.read(body, workspace, &mut read);
        let prompt = Prompt::of(body);
        Gauged {
            traits: prompt.traits(read.tokens),
            text: prompt.text,
            vector: read.vector,
            gain: read.gain,
        }
    }
}
