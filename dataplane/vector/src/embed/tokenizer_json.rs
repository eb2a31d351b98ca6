//! Reads a `tokenizer.json` of the `tokenizers` library. WordPiece behind BERT's normaliser is what models of this format
//! have; anything else is named and refused, for a tokenizer that is almost right gives vectors that are quietly wrong.
//! Knows no text.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::characters::Normaliser;
use super::vocabulary::Vocabulary;
use super::wordpiece::{Added, WordPiece};
use super::{LoadError, MAX_TOKENIZER_BYTES};

/// Added tokens are looked for at every place of a text.
const MAX_ADDED_TOKENS: usize = 64;
const MAX_CHARS_PER_WORD: usize = 1000;

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow, default)]
    added_tokens: Vec<AddedToken<'a>>,
    #[serde(borrow)]
    normalizer: Option<NormaliserJson<'a>>,
    #[serde(borrow)]
    pre_tokenizer: Option<Named<'a>>,
    #[serde(borrow)]
    model: ModelJson<'a>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow, rename = "type")]
    name: Cow<'a, str>,
}

#[derive(Deserialize)]
struct NormaliserJson<'a> {
    #[serde(borrow, rename = "type")]
    name: Cow<'a, str>,
    #[serde(default = "yes")]
    clean_text: bool,
    #[serde(default = "yes")]
    handle_chinese_chars: bool,
    strip_accents: Option<bool>,
    #[serde(default = "yes")]
    lowercase: bool,
}

const fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct AddedToken<'a> {
    id: u32,
    #[serde(borrow)]
    content: Cow<'a, str>,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    normalized: bool,
}

#[derive(Deserialize)]
struct ModelJson<'a> {
    #[serde(borrow, rename = "type", default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    unk_token: Cow<'a, str>,
    #[serde(borrow)]
    continuing_subword_prefix: Option<Cow<'a, str>>,
    max_input_chars_per_word: Option<usize>,
    /// Other models write a list here; their names are refused before it is read.
    #[serde(default)]
    vocab: serde_json::Value,
}

pub fn parse(bytes: &[u8]) -> Result<WordPiece, LoadError> {
    if bytes.len() > MAX_TOKENIZER_BYTES {
        return Err(LoadError::TokenizerTooLong { found: bytes.len() });
    }
    let file: File<'_> = serde_json::from_slice(bytes).map_err(|fault| LoadError::Tokenizer(fault.to_string()))?;
    let normaliser = normaliser(file.normalizer)?;
    let pre_tokenizer = file.pre_tokenizer.map_or(Cow::Borrowed("null"), |named| named.name);
    supported("pre_tokenizer.type", &pre_tokenizer, "BertPreTokenizer")?;
    // Files of old versions of the library do not name the model.
    if !file.model.name.is_empty() {
        supported("model.type", &file.model.name, "WordPiece")?;
    }
    let vocab = vocab(&file.model.vocab)?;
    let unknown = *vocab
        .get(file.model.unk_token.as_ref())
        .ok_or_else(|| LoadError::Tokenizer(format!("model.vocab has no unk_token `{}`", file.model.unk_token)))?;
    let max_chars_per_word = file.model.max_input_chars_per_word.unwrap_or(100);
    if max_chars_per_word > MAX_CHARS_PER_WORD {
        return Err(LoadError::Tokenizer(format!(
            "model.max_input_chars_per_word is {max_chars_per_word}; at most {MAX_CHARS_PER_WORD} are read"
        )));
    }
    let prefix = file.model.continuing_subword_prefix.unwrap_or(Cow::Borrowed("##"));
    if prefix.is_empty() {
        return Err(LoadError::Tokenizer(
            "model.continuing_subword_prefix is empty; expected is `##`".into(),
        ));
    }
    let added = added(file.added_tokens)?;
    let highest = vocab
        .values()
        .chain(added.iter().map(|(_, id)| id))
        .max()
        .copied()
        .unwrap_or(0);
    let all = || vocab.iter().map(|(token, id)| (*token, *id));
    Ok(WordPiece {
        normaliser,
        beginnings: Vocabulary::new(all()),
        continuations: Vocabulary::new(all().filter_map(|(token, id)| Some((token.strip_prefix(&*prefix)?, id)))),
        unknown,
        padding: vocab.get("[PAD]").copied(),
        max_chars_per_word,
        ids: highest.saturating_add(1),
        added: Added::new(added),
    })
}

fn supported(part: &'static str, found: &str, supported: &'static str) -> Result<(), LoadError> {
    (found == supported)
        .then_some(())
        .ok_or_else(|| LoadError::Unsupported {
            part,
            found: found.to_owned(),
            supported,
        })
}

fn normaliser(json: Option<NormaliserJson<'_>>) -> Result<Normaliser, LoadError> {
    let name = json.as_ref().map_or("null", |json| &json.name);
    supported("normalizer.type", name, "BertNormalizer")?;
    let json = json.ok_or_else(|| LoadError::Tokenizer("normalizer is missing".into()))?;
    supported(
        "normalizer.clean_text",
        if json.clean_text { "true" } else { "false" },
        "true",
    )?;
    Ok(Normaliser {
        handle_chinese_chars: json.handle_chinese_chars,
        // Unsaid, accents follow the case: what the uncased models were trained with.
        strip_accents: json.strip_accents.unwrap_or(json.lowercase),
        lowercase: json.lowercase,
    })
}

fn vocab(json: &serde_json::Value) -> Result<BTreeMap<&str, u32>, LoadError> {
    let tokens = json
        .as_object()
        .ok_or_else(|| LoadError::Tokenizer("model.vocab is not a map of tokens to ids".into()))?;
    let id = |(token, id): (&'_ String, &serde_json::Value)| {
        id.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| {
            LoadError::Tokenizer(format!(
                "model.vocab gives `{token}` the id {id}, which is no number of 32 bits"
            ))
        })
    };
    tokens
        .iter()
        .map(|(token, found)| Ok((token.as_str(), id((token, found))?)))
        .collect()
}

fn added(tokens: Vec<AddedToken<'_>>) -> Result<Vec<(String, u32)>, LoadError> {
    if tokens.len() > MAX_ADDED_TOKENS {
        return Err(LoadError::Tokenizer(format!(
            "added_tokens has {} tokens; at most {MAX_ADDED_TOKENS} are read",
            tokens.len()
        )));
    }
    let taken = |token: AddedToken<'_>| {
        let plain = !(token.single_word || token.lstrip || token.rstrip || token.normalized);
        if !plain || token.content.is_empty() {
            return Err(LoadError::Unsupported {
                part: "added_tokens",
                found: token.content.into_owned(),
                supported: "a text with single_word, lstrip, rstrip and normalized false",
            });
        }
        Ok((token.content.into_owned(), token.id))
    };
    tokens.into_iter().map(taken).collect()
}
