//! Any text has a vector: of length 1, or zero when nothing of it is known; cut windows of it have one, too.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tollgate_vector::{Embedder, Scratch, Window};

static EMBEDDER: LazyLock<Embedder> = LazyLock::new(|| Embedder::builtin().expect("the shipped model loads"));

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    let (mut scratch, mut vector) = (Scratch::default(), vec![0.0; EMBEDDER.dims()]);
    let tokens = EMBEDDER.embed(&text, &mut scratch, &mut vector);
    let squares: f32 = vector.iter().map(|value| value * value).sum();
    assert!(if tokens == 0 { squares == 0.0 } else { (squares - 1.0).abs() < 1e-3 });
    let window = Window {
        head_bytes: input.len() / 3,
        tail_bytes: input.len() / 4,
    };
    assert!(EMBEDDER.embed_window(&text, window, &mut scratch, &mut vector) <= input.len());
});
