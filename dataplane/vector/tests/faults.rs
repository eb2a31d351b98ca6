//! What is cut off or not what it says it is gets refused with the file's name, wherever it ends; what people send is embedded,
//! a megabyte of any characters too; and entries that are all alike are found and removed.

use proptest::prelude::*;
use tollgate_vector::{
    Complexity, Embedder, FLAT_MOST, IndexScratch, Kernel, Scratch, Traits, WeightsError, Window, Writer,
};

const MODEL: &[u8] = include_bytes!("../model/model.safetensors");
const TOKENIZER: &[u8] = include_bytes!("../model/tokenizer.json");
const WEIGHTS: &[u8] = include_bytes!("../model/complexity.json");
const MEGABYTE: usize = 1 << 20;

fn shipped() -> &'static Embedder {
    static SHIPPED: std::sync::LazyLock<Embedder> =
        std::sync::LazyLock::new(|| Embedder::builtin().expect("the shipped model loads"));
    &SHIPPED
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_model_that_is_cut_off_is_refused_by_its_name(share in 0.0f64..1.0, of_tokenizer in any::<bool>()) {
        let cut = |whole: &[u8]| whole[..(whole.len() as f64 * share) as usize].to_vec();
        let refused = match of_tokenizer {
            true => Embedder::load(MODEL, &cut(TOKENIZER)),
            false => Embedder::load(cut(MODEL), TOKENIZER),
        };
        let said = refused.expect_err("it is cut off").to_string();
        let name = if of_tokenizer { "tokenizer.json" } else { "model.safetensors" };
        prop_assert!(said.starts_with(name), "{}", said);
    }

    #[test]
    fn weights_that_are_cut_off_are_refused(share in 0.0f64..1.0) {
        let cut = &WEIGHTS[..(WEIGHTS.len() as f64 * share) as usize];
        prop_assert!(matches!(Complexity::load(cut), Err(WeightsError::Malformed(_))));
    }

    #[test]
    fn weights_with_another_byte_are_refused_or_are_weights(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut changed = WEIGHTS.to_vec();
        changed[at.index(WEIGHTS.len())] = byte;
        if let Ok(weights) = Complexity::load(&changed) {
            let gain = weights.gain(&vec![0.0625; shipped().dims()], "one word", Traits::default());
            prop_assert!((-1.0..=1.0).contains(&gain), "{}", gain);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn a_megabyte_of_any_characters_has_a_vector_and_a_difficulty(seed in any::<u64>(), most in prop::sample::select(vec![0x7fu32, 0x7ff, 0xffff, 0x10_ffff])) {
        let mut state = seed | 1;
        let mut text = String::with_capacity(MEGABYTE + 4);
        while text.len() < MEGABYTE {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            text.extend(char::from_u32((state >> 20) as u32 % (most + 1)));
        }
        let (mut scratch, mut vector) = (Scratch::default(), vec![0.0; shipped().dims()]);
        for windowed in [false, true] {
            let tokens = match windowed {
                false => shipped().embed(&text, &mut scratch, &mut vector),
                true => shipped().embed_window(&text, Window::default(), &mut scratch, &mut vector),
            };
            let length: f32 = vector.iter().map(|value| value * value).sum();
            prop_assert!(if tokens == 0 { length == 0.0 } else { (length - 1.0).abs() < 1e-4 }, "{}", length);
            let traits = Traits { bytes: text.len(), tokens, turns: 1, tools: 0 };
            let gain = Complexity::shipped().expect("shipped weights").gain(&vector, &text, traits);
            prop_assert!((-1.0..=1.0).contains(&gain), "{}", gain);
        }
    }
}

#[test]
fn entries_that_are_all_alike_are_found_and_leave_one_by_one() {
    let dims = shipped().dims();
    let along: Vec<f32> = (0..dims).map(|at| f32::from(u8::from(at == 0))).collect();
    let mut writer = Writer::new(dims, 4 * FLAT_MOST, Kernel::best());
    for id in 0..2 * FLAT_MOST as u64 {
        writer.insert(id, &along).expect("there is room");
        if let Some(rebuild) = writer.outgrown() {
            writer.adopt(rebuild.run());
        }
    }
    let (mut scratch, mut hits) = (IndexScratch::default(), Vec::new());
    let mut found = |writer: &Writer| {
        writer.publish().search(&along, 1, &mut scratch, &mut hits);
        hits.first().map(|hit| (hit.id, hit.similarity > 0.999))
    };
    assert!(!writer.publish().is_flat());
    while let Some((id, is_alike)) = found(&writer).filter(|_| writer.len() > 2 * FLAT_MOST - 300) {
        assert!(is_alike && writer.remove(id), "{id}");
    }
    assert_eq!(writer.len(), 2 * FLAT_MOST - 300);
    for id in 0..2 * FLAT_MOST as u64 {
        writer.remove(id);
    }
    assert_eq!((writer.len(), found(&writer)), (0, None));
}
