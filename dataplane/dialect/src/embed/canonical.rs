//! Embeddings in words of no dialect: what is asked, and what comes back. Texts and vectors are spans of the bytes that
//! came.

use std::borrow::Cow;

use super::{MAX_INPUTS, vector::Vector};
use crate::{
    canonical::bad::{BadAnswer, BadRequest},
    json::{Node, Text},
    usage::Usage,
};

/// Names in `x-tollgate-dropped` at most.
const MAX_NAMES: usize = 32;

#[derive(Debug, Default)]
pub struct Request<'a> {
    pub inputs: Vec<Input<'a>>,
    pub purpose: Option<Purpose>,
    /// Of the document that is embedded.
    pub title: Option<Text<'a>>,
    pub dimensions: Option<u64>,
    pub truncate: Option<Truncate>,
    /// Tokens of each input that count.
    pub max_tokens: Option<u64>,
    /// How the vectors are wanted; empty: as the dialect gives them unasked.
    pub forms: Vec<Form>,
    pub user: Option<Text<'a>>,
    /// Members that no other dialect has a word for.
    pub unread: Vec<Cow<'static, str>>,
}

/// What becomes one vector.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    Text(Text<'a>),
    /// Numbers of a vocabulary that the caller chose.
    Tokens(Node<'a>),
    Mixed(Vec<Part<'a>>),
}

#[derive(Clone, Debug)]
pub enum Part<'a> {
    Text(Text<'a>),
    /// In base64.
    Image {
        media_type: Text<'a>,
        data: Text<'a>,
    },
}

/// What the vectors are for. Models embed a question otherwise than what may answer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Query,
    Document,
    Classification,
    Clustering,
    Similarity,
    QuestionAnswering,
    FactVerification,
    CodeQuery,
    Image,
}

/// What becomes of an input that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truncate {
    /// It is refused.
    None,
    Start,
    End,
}

/// How a vector is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Float,
    /// Floats of 32 bits, little-endian.
    Base64,
    Int8,
    Uint8,
    Binary,
    Ubinary,
}

impl Form {
    pub const ALL: [Form; 6] = [
        Form::Float,
        Form::Base64,
        Form::Int8,
        Form::Uint8,
        Form::Binary,
        Form::Ubinary,
    ];

    /// Cohere's name of it; OpenAI shares the first two.
    pub fn name(self) -> &'static str {
        match self {
            Form::Float => "float",
            Form::Base64 => "base64",
            Form::Int8 => "int8",
            Form::Uint8 => "uint8",
            Form::Binary => "binary",
            Form::Ubinary => "ubinary",
        }
    }

    pub fn of_name(name: &str) -> Option<Form> {
        Form::ALL.into_iter().find(|form| form.name() == name)
    }
}

/// What a request may ask for that not every provider can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    Inputs,
    Purpose,
    Title,
    Dimensions,
    Truncate,
    MaxTokens,
    Forms,
    User,
}

/// What a provider cannot be asked at all.
#[derive(Clone, Copy, Debug)]
pub struct Refused {
    pub feature: Feature,
    pub wrong: &'static str,
}

/// An input that a provider of texts cannot take.
pub(super) const ONLY_TEXT: Refused = Refused {
    feature: Feature::Inputs,
    wrong: "has an entry of several parts, or of something else than text; the provider's model takes one text for each \
            vector",
};
/// Ids of a vocabulary that the provider has not.
pub(super) const NO_TOKENS: Refused = Refused {
    feature: Feature::Inputs,
    wrong: "holds token ids, whose vocabulary the provider's model has not: send the text itself \
            (LangChain: check_embedding_ctx_length=False)",
};
const NO_SUCH_FORM: Refused = Refused {
    feature: Feature::Forms,
    wrong: "asks for nothing that the provider's model gives: add 'float'",
};

/// What a request loses on its way.
#[derive(Debug, Default)]
pub struct Lost {
    features: Vec<Feature>,
}

impl Lost {
    pub fn note_if(&mut self, feature: Feature, lost: bool) {
        if lost && !self.features.contains(&feature) {
            self.features.push(feature);
        }
    }

    /// In the caller's words, each once.
    pub fn names(&self, unread: &[Cow<'static, str>], field: impl Fn(Feature) -> &'static str) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        let fields = self.features.iter().map(|feature| Cow::Borrowed(field(*feature)));
        for name in unread.iter().cloned().chain(fields) {
            if names.len() < MAX_NAMES && !names.iter().any(|known| *known == name) {
                names.push(name.into_owned());
            }
        }
        names
    }
}

impl<'a> Request<'a> {
    /// One more input. `field` names the list in the caller's words.
    pub fn push(&mut self, input: Input<'a>, field: &'static str, at: Node<'_>) -> Result<(), BadRequest> {
        if self.inputs.len() == MAX_INPUTS {
            let wrong = format!("has more than {MAX_INPUTS} entries");
            return Err(BadRequest::field(field, wrong, at));
        }
        self.inputs.push(input);
        Ok(())
    }

    pub fn checked(self, field: &'static str) -> Result<Request<'a>, BadRequest> {
        match self.inputs.is_empty() {
            true => Err(BadRequest::missing(
                field,
                "is missing or empty: there is nothing to embed",
            )),
            false => Ok(self),
        }
    }

    /// Forms made of floats are given everywhere; the others only Cohere's models know.
    pub(super) fn note_forms(&self, lost: &mut Lost) -> Result<(), Refused> {
        let made_of_floats = |form: &Form| matches!(form, Form::Float | Form::Base64);
        if !self.forms.is_empty() && !self.forms.iter().any(made_of_floats) {
            return Err(NO_SUCH_FORM);
        }
        lost.note_if(Feature::Forms, !self.forms.iter().all(made_of_floats));
        Ok(())
    }

    /// A member that is not read: it is lost, unless it says nothing.
    pub fn leave_unread(&mut self, name: Cow<'_, str>, value: Node<'_>) {
        if !value.is_null() {
            self.note_unread(Cow::Owned(name.into_owned()));
        }
    }

    pub(super) fn note_unread(&mut self, name: Cow<'static, str>) {
        if self.unread.len() < MAX_NAMES && !self.unread.contains(&name) {
            self.unread.push(name);
        }
    }
}

/// The vectors of all parts, in order of the inputs.
#[derive(Debug, Default)]
pub struct Answer<'a> {
    pub floats: Vec<Vector<'a>>,
    /// In forms that pass as they come: what a float is worth there only the model knows.
    pub others: Vec<(Form, Vec<Node<'a>>)>,
    pub usage: Option<Usage>,
    /// The provider's name of the model.
    pub model: Option<Text<'a>>,
    pub id: Option<Text<'a>>,
}

/// How many vectors of each form there were.
pub(super) struct Counts {
    floats: usize,
    others: Vec<(Form, usize)>,
}

impl<'a> Answer<'a> {
    pub(super) fn clone_counts(&self) -> Counts {
        Counts {
            floats: self.floats.len(),
            others: self.others.iter().map(|(form, list)| (*form, list.len())).collect(),
        }
    }

    /// One more part was read: it must have as many vectors as were asked for, in each form that it has.
    pub(super) fn check_grown(&self, before: &Counts, expected: usize) -> Result<(), BadAnswer> {
        const COUNT: BadAnswer = BadAnswer::new("it has another number of vectors than there are inputs");
        let floats = self.floats.len() - before.floats;
        let others = self.others.iter().map(|(form, list)| {
            let was = before.others.iter().find(|(known, _)| known == form);
            list.len() - was.map_or(0, |(_, count)| *count)
        });
        let complete = floats == expected || (floats == 0 && !self.others.is_empty());
        match complete && others.into_iter().all(|count| count == expected) {
            true => Ok(()),
            false => Err(COUNT),
        }
    }

    /// The list of a form that passes as it comes.
    pub fn list(&mut self, form: Form) -> &mut Vec<Node<'a>> {
        let at = match self.others.iter().position(|(known, _)| *known == form) {
            Some(at) => at,
            None => {
                self.others.push((form, Vec::new()));
                self.others.len() - 1
            }
        };
        &mut self.others[at].1
    }

    /// Usage of one more part.
    pub fn add_usage(&mut self, said: Option<Usage>) {
        if let Some(said) = said {
            self.usage.get_or_insert_with(Usage::default).add(&said);
        }
    }
}
