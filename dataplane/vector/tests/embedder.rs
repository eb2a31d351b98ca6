//! The shipped model gives the reference vectors, whatever the processor; no text stops it, and none makes it allocate.

use proptest::prelude::*;
use tollgate_vector::{Embedder, Kernel, Scratch, Window};

fn builtin() -> Embedder {
    Embedder::builtin().expect("the shipped model loads")
}

fn lines(text: &str) -> impl Iterator<Item = serde_json::Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
}

fn ids(of: &serde_json::Value) -> Vec<u32> {
    let listed = of["ids"].as_array().expect("ids");
    // The list of a long text ends in a mark.
    listed.iter().filter_map(|id| id.as_u64()).map(|id| id as u32).collect()
}

fn cosine(a: &[f32], b: &[f64]) -> f64 {
    let dot: f64 = a.iter().zip(b).map(|(a, b)| f64::from(*a) * b).sum();
    let length = |squares: f64| squares.sqrt();
    let a = length(a.iter().map(|value| f64::from(*value).powi(2)).sum());
    let b = length(b.iter().map(|value| value.powi(2)).sum());
    if a == 0.0 && b == 0.0 { 1.0 } else { dot / (a * b) }
}

#[test]
fn vectors_are_those_of_the_reference() {
    let embedder = builtin();
    let mut scratch = Scratch::default();
    let mut seen = 0;
    for line in lines(include_str!("data/reference.jsonl")) {
        let text = line["text"].as_str().expect("a text");
        let mut vector = vec![0.0; embedder.dims()];
        let tokens = embedder.embed(text, &mut scratch, &mut vector);
        assert_eq!(tokens as u64, line["tokens"].as_u64().expect("tokens"), "{text:?}");
        let expected = ids(&line);
        assert_eq!(
            embedder.token_ids(text, &mut scratch)[..expected.len()],
            expected,
            "{text:?}"
        );
        let expected: Vec<f64> = line["vector"]
            .as_array()
            .expect("a vector")
            .iter()
            .filter_map(|v| v.as_f64())
            .collect();
        assert!(cosine(&vector, &expected) >= 0.9999, "{text:?}");
        seen += 1;
    }
    assert_eq!(seen, 54);
}

#[test]
fn tokens_are_those_of_the_library_in_every_script() {
    let embedder = builtin();
    let mut scratch = Scratch::default();
    for line in lines(include_str!("data/tokens.jsonl")) {
        let text = line["text"].as_str().expect("a text");
        assert_eq!(embedder.token_ids(text, &mut scratch), ids(&line), "{text:?}");
    }
}

#[test]
fn every_kernel_gives_the_same_bits() {
    let kernels: Vec<Kernel> = Kernel::all().collect();
    let vectors = |kernel: Kernel| {
        let embedder = builtin().with_kernel(kernel);
        let mut vector = vec![0.0; embedder.dims()];
        let mut bits = Vec::new();
        for line in lines(include_str!("data/reference.jsonl")) {
            embedder.embed(
                line["text"].as_str().expect("a text"),
                &mut Scratch::default(),
                &mut vector,
            );
            bits.extend(vector.iter().map(|value| value.to_bits()));
        }
        bits
    };
    let expected = vectors(Kernel::scalar());
    for kernel in kernels {
        assert!(vectors(kernel) == expected, "{}", kernel.name());
    }
}

#[test]
fn a_call_after_the_first_allocates_nothing() {
    let embedder = builtin();
    let (mut scratch, mut vector) = (Scratch::default(), vec![0.0; embedder.dims()]);
    let text = "Antidisestablishmentarianism, naïve café, 混ぜた text and 12,000 words ".repeat(400);
    embedder.embed(&text, &mut scratch, &mut vector);
    let counted = allocation_counter::measure(|| {
        embedder.embed(&text, &mut scratch, &mut vector);
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn a_megabyte_of_one_word_is_unknown_and_of_many_words_is_not() {
    let embedder = builtin();
    let (mut scratch, mut vector) = (Scratch::default(), vec![1.0; embedder.dims()]);
    assert_eq!(embedder.embed(&"x".repeat(1 << 20), &mut scratch, &mut vector), 0);
    assert!(vector.iter().all(|value| *value == 0.0));
    let words = embedder.embed(&"word ".repeat((1 << 20) / 5), &mut scratch, &mut vector);
    assert_eq!(words, (1 << 20) / 5);
    assert!((vector.iter().map(|value| value * value).sum::<f32>() - 1.0).abs() < 1e-5);
}

#[test]
fn a_window_takes_whole_words_of_both_ends() {
    let window = Window {
        head_bytes: 12,
        tail_bytes: 10,
    };
    assert_eq!(window.of("short enough"), ["short enough", ""]);
    assert_eq!(
        window.of("the first part, the middle, and the end"),
        ["the first", " the end"]
    );
    let embedder = builtin();
    let (mut scratch, mut vector) = (Scratch::default(), vec![0.0; embedder.dims()]);
    let long = format!("the beginning {} the end", "between ".repeat(10_000));
    assert_eq!(embedder.embed_window(&long, window, &mut scratch, &mut vector), 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_has_a_vector(piece in any::<String>(), times in 1usize..2000) {
        let text: String = piece.repeat(times).chars().take(1 << 18).collect();
        let embedder = builtin_once();
        let mut vector = vec![0.0; embedder.dims()];
        let tokens = embedder.embed(&text, &mut Scratch::default(), &mut vector);
        let squares: f32 = vector.iter().map(|value| value * value).sum();
        prop_assert!(if tokens == 0 { squares == 0.0 } else { (squares - 1.0).abs() < 1e-4 }, "{tokens} tokens, {squares}");
        embedder.embed_window(&text, Window::default(), &mut Scratch::default(), &mut vector);
    }
}

/// Loaded once for all cases of a property.
fn builtin_once() -> &'static Embedder {
    static EMBEDDER: std::sync::LazyLock<Embedder> = std::sync::LazyLock::new(builtin);
    &EMBEDDER
}
