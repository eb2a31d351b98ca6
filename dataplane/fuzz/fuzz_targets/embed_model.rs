//! Any bytes load as a model or are refused; what loads embeds. The first bytes say where the tokenizer's file ends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_vector::{Embedder, Scratch};

fuzz_target!(|input: &[u8]| {
    let Some((cut, files)) = input.split_first_chunk::<2>() else {
        return;
    };
    let (tokenizer, model) = files.split_at(usize::from(u16::from_le_bytes(*cut)).min(files.len()));
    if let Ok(embedder) = Embedder::load(model.to_vec(), tokenizer) {
        let mut vector = vec![0.0; embedder.dims()];
        embedder.embed("red redder, unknown", &mut Scratch::default(), &mut vector);
    }
});
