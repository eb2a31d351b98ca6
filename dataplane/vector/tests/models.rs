//! Models of others load when their format is known, and say what is wrong when it is not.

use tollgate_vector::{Embedder, LoadError, Scratch};

const TOKENIZER: &str = r###"{"added_tokens":[{"id":1,"content":"[UNK]"}],
    "normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true},
    "pre_tokenizer":{"type":"BertPreTokenizer"},
    "model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,
             "vocab":{"[PAD]":0,"[UNK]":1,"red":2,"##der":3}}}"###;

/// A container with these tensors: name, type, shape, bytes.
fn safetensors(tensors: &[(&str, &str, &[usize], Vec<u8>)]) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, kind, shape, bytes) in tensors {
        let from = data.len();
        data.extend_from_slice(bytes);
        let entry = serde_json::json!({"dtype": kind, "shape": shape, "data_offsets": [from, data.len()]});
        header.insert((*name).to_owned(), entry);
    }
    let header = serde_json::to_vec(&header).expect("a header");
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn vector(model: Vec<u8>, text: &str) -> Vec<f32> {
    let embedder = Embedder::load(model, TOKENIZER.as_bytes()).expect("a model that is right");
    let mut vector = vec![0.0; embedder.dims()];
    embedder.embed(text, &mut Scratch::default(), &mut vector);
    vector
}

fn fault(model: Vec<u8>, tokenizer: &str) -> String {
    Embedder::load(model, tokenizer.as_bytes())
        .expect_err("a model that is wrong")
        .to_string()
}

const ROWS: [f32; 8] = [9.0, 9.0, 9.0, 9.0, 3.0, 4.0, -1.0, 0.0];

#[test]
fn rows_may_be_floats_halves_or_bytes() {
    let halves: Vec<u8> = [0x4880u16, 0x4880, 0x4880, 0x4880, 0x4200, 0x4400, 0xbc00, 0]
        .iter()
        .flat_map(|half| half.to_le_bytes())
        .collect();
    let bytes = ROWS.iter().map(|value| *value as i8 as u8).collect();
    for (kind, rows) in [("F32", floats(&ROWS)), ("F16", halves), ("I8", bytes)] {
        let model = || safetensors(&[("embeddings", kind, &[4, 2], rows.clone())]);
        assert_eq!(vector(model(), "Red"), [0.6, 0.8], "{kind}");
        let redder = vector(model(), "redder");
        assert!((redder[0] - 2.0 / 20f32.sqrt()).abs() < 1e-6, "{kind}: {redder:?}");
    }
}

#[test]
fn weights_and_a_mapping_are_applied() {
    let model = safetensors(&[
        ("embeddings", "F32", &[2, 2], floats(&[1.0, 0.0, 0.0, 1.0])),
        ("weights", "F32", &[4], floats(&[0.0, 0.0, 3.0, 4.0])),
        (
            "mapping",
            "I64",
            &[4],
            [0i64, 0, 0, 1].iter().flat_map(|row| row.to_le_bytes()).collect(),
        ),
    ]);
    assert_eq!(vector(model, "redder"), [0.6, 0.8]);
}

#[test]
fn a_wrong_model_says_what_is_wrong() {
    let rows = |shape: &[usize], bytes| safetensors(&[("embeddings", "F32", shape, bytes)]);
    let good = rows(&[4, 2], floats(&ROWS));
    for (model, says) in [
        (vec![1, 2], "too few for a header"),
        (good[..40].to_vec(), "ends before them"),
        (good[..good.len() - 1].to_vec(), "is it cut off?"),
        (vec![255; 64], "the header says"),
        (safetensors(&[]), "no tensor `embeddings`"),
        (rows(&[3, 2], floats(&ROWS[..6])), "each of the tokenizer's 4 tokens"),
        (rows(&[8], floats(&ROWS)), "two-dimensional"),
        (rows(&[4, 2], floats(&ROWS[..6])), "other bytes than its shape"),
        (
            safetensors(&[("embeddings", "BF16", &[4, 1], vec![0; 8])]),
            "of type BF16",
        ),
        (
            safetensors(&[("embeddings", "I32", &[4, 1], vec![0; 16])]),
            "I8, F16 or F32",
        ),
        (rows(&[4, 2], floats(&[f32::NAN; 8])), "no finite numbers"),
        (
            safetensors(&[
                ("embeddings", "I8", &[4, 1], vec![0; 4]),
                ("mapping", "I32", &[4], vec![9; 16]),
            ]),
            "a row that is not there",
        ),
        (
            safetensors(&[
                ("embeddings", "I8", &[4, 1], vec![0; 4]),
                ("weights", "F32", &[2], vec![0; 8]),
            ]),
            "one value for each of 4 tokens",
        ),
    ] {
        let fault = fault(model, TOKENIZER);
        assert!(fault.contains(says), "{fault} does not say {says}");
    }
}

#[test]
fn a_wrong_tokenizer_says_what_is_wrong() {
    let model = || safetensors(&[("embeddings", "F32", &[4, 2], floats(&ROWS))]);
    for (from, to, says) in [
        (
            "\"WordPiece\"",
            "\"Unigram\"",
            "model.type is `Unigram`; supported is WordPiece",
        ),
        ("BertPreTokenizer", "Metaspace", "pre_tokenizer.type is `Metaspace`"),
        ("\"BertNormalizer\"", "\"Sequence\"", "normalizer.type is `Sequence`"),
        ("\"red\":2", "\"red\":-2", "gives `red` the id -2"),
        ("\"unk_token\":\"[UNK]\"", "\"unk_token\":\"?\"", "no unk_token `?`"),
        ("\"id\":1,", "\"id\":1,\"lstrip\":true,", "added_tokens is `[UNK]`"),
        ("\"red\":2", "\"red\":900000000", "a row for each"),
        ("{\"[PAD]\":0", "{{\"[PAD]\":0", "tokenizer.json: "),
    ] {
        assert!(TOKENIZER.contains(from), "{from}");
        let fault = fault(model(), &TOKENIZER.replace(from, to));
        assert!(fault.contains(says), "{fault} does not say {says}");
    }
    let long = " ".repeat(tollgate_vector::MAX_TOKENIZER_BYTES + 1);
    assert_eq!(
        Embedder::load(model(), long.as_bytes()).err(),
        Some(LoadError::TokenizerTooLong { found: long.len() })
    );
}
