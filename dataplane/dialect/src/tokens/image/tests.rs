//! The providers' own examples, and headers as encoders write them.

use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::prelude::*;

use super::{Detail, File, Rule, Size, estimate, header};

#[test]
fn published_examples_cost_what_is_published() {
    use Detail::*;
    let table = [
        // OpenAI: tiles of 512.
        ("gpt-4o", 1_024, 1_024, High, 765),
        ("gpt-4o", 2_048, 4_096, High, 1_105),
        ("gpt-4o", 4_096, 8_192, Low, 85),
        ("gpt-4o", 512, 512, Auto, 255),
        ("gpt-4o", 1, 1, Auto, 255),
        ("gpt-4o-mini", 1_024, 1_024, High, 25_501),
        ("o1", 1_024, 1_024, High, 675),
        ("gpt-5", 1_024, 1_024, High, 630),
        // OpenAI: patches of 32, with the factors of the smaller models.
        ("gpt-4.1-mini", 1_024, 1_024, Auto, 1_659),
        ("gpt-4.1-mini", 1_800, 2_400, Auto, 2_353),
        ("gpt-4.1-mini", 2_400, 1_800, Auto, 2_353),
        ("o4-mini", 1_800, 2_400, Auto, 2_498),
        ("gpt-5-nano", 1_024, 1_024, Auto, 2_520),
        ("gpt-5.4-mini", 32, 32, Auto, 2),
        // Anthropic: patches of 28.
        ("claude-sonnet-4-5", 1_000, 1_000, Auto, 1_296),
        ("claude-sonnet-4-6", 200, 200, Auto, 64),
        ("claude-sonnet-4-6", 1_920, 1_080, Auto, 1_560),
        ("claude-opus-4-7", 1_920, 1_080, Auto, 2_691),
        ("claude-opus-4-7", 4_000, 4_000, Auto, 4_761),
        // Google: tiles of two thirds of the short side; a budget since Gemini 3.
        ("gemini-2.5-pro", 384, 384, Auto, 258),
        ("gemini-2.5-pro", 960, 540, Auto, 1_548),
        ("gemini-2.0-flash", 768, 768, Auto, 1_032),
        ("gemini-3-pro-preview", 4_000, 3_000, Auto, 1_120),
        ("gemini-3-flash", 4_000, 3_000, Low, 280),
    ];
    for (model, width, height, detail, tokens) in table {
        let picture = estimate(Rule::of_model(model), Some(Size { width, height }), detail);
        assert_eq!(picture.tokens, tokens, "{model} {width}x{height} {detail:?}");
        assert!(picture.estimated());
    }
}

#[test]
fn a_picture_that_is_not_to_be_seen_is_a_guess_and_says_so() {
    let seen = estimate(
        Rule::Unknown,
        Some(Size {
            width: 1_920,
            height: 1_080,
        }),
        Detail::Auto,
    );
    let unseen = estimate(Rule::Unknown, None, Detail::Auto);
    assert_eq!(seen.tokens, unseen.tokens);
    assert!(unseen.mean_error_basis_points > seen.mean_error_basis_points);
}

fn jpeg(before: &[u8]) -> Vec<u8> {
    [
        b"\xFF\xD8",
        before,
        b"\xFF\xC2\x00\x11\x08\x02\x58\x03\x20\x03\x01\x22\x00",
    ]
    .concat()
}

#[test]
fn sizes_are_read_from_headers() {
    let camera: Vec<u8> = [
        b"\xFF\xE1\xFF\xFF".as_slice(),
        &[0x5A; 0xFFFD],
        b"\xFF\xDB\x00\x04\x01\x02",
    ]
    .concat();
    let table = [
        (
            "png",
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x03\x20\0\0\x02\x58\x08\x02".to_vec(),
            Some((800, 600)),
        ),
        ("gif", b"GIF89a\x20\x03\x58\x02\xF7\0\0".to_vec(), Some((800, 600))),
        (
            "webp lossy",
            b"RIFF\x24\0\0\0WEBPVP8 \x18\0\0\0\x30\x01\0\x9d\x01\x2a\x20\x03\x58\x02\0".to_vec(),
            Some((800, 600)),
        ),
        (
            "webp lossless",
            b"RIFF\x24\0\0\0WEBPVP8L\x18\0\0\0\x2f\x1f\xC3\x95\0\0".to_vec(),
            Some((800, 600)),
        ),
        (
            "webp extended",
            b"RIFF\x24\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0\x1f\x03\0\x57\x02\0".to_vec(),
            Some((800, 600)),
        ),
        (
            "jpeg",
            jpeg(b"\xFF\xE0\x00\x04ab\xFF\xFF\xFF\xC4\x00\x03\x00"),
            Some((800, 600)),
        ),
        ("jpeg of a camera", jpeg(&camera), Some((800, 600))),
        (
            "jpeg of segments without end",
            jpeg(&b"\xFF\xE0\x00\x02".repeat(600)),
            None,
        ),
        ("jpeg without segments", b"\xFF\xD8\x00\x00".to_vec(), None),
        (
            "no size",
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\0\0\0\x02\x58".to_vec(),
            None,
        ),
        ("text", b"hello, world, this is no picture".to_vec(), None),
        ("nothing", Vec::new(), None),
    ];
    for (name, bytes, expected) in table {
        let expected = expected.map(|(width, height)| Size { width, height });
        assert_eq!(header::size(File::Bytes(&bytes)), expected, "{name}");
        let text = STANDARD.encode(&bytes);
        assert_eq!(
            header::size(File::Base64(text.as_bytes())),
            expected,
            "{name} in base64"
        );
        for short in 0..bytes.len().min(24) {
            assert!(header::size(File::Bytes(&bytes[..short])).is_none_or(|size| Some(size) == expected));
        }
    }
}

proptest! {
    #[test]
    fn no_picture_makes_it_panic(begin in 0usize..6, bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let begins: [&[u8]; 6] = [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\0\0\0WEBPVP8", b"\xFF\xD8\xFF", b"\xFF\xD8\xFF\xC0"];
        let file = [begins[begin], &bytes].concat();
        let size = header::size(File::Bytes(&file));
        prop_assert_eq!(header::size(File::Base64(STANDARD.encode(&file).as_bytes())), size);
        let _ = header::size(File::Base64(&file));
    }

    #[test]
    fn no_size_is_free_or_without_bounds(width: u32, height: u32, model in 0usize..8, low: bool) {
        let models = ["gpt-4o", "gpt-4o-mini", "gpt-4.1-mini", "gpt-5.4", "claude-3-opus", "claude-opus-5", "gemini-2.5", "x"];
        let detail = if low { Detail::Low } else { Detail::High };
        let most = [1_445, 48_169, 2_489, 3_000, 1_568, 4_784, 1 << 24, 1_568][model];
        for side in [width, width % 5_000 + 1] {
            let tokens = Rule::of_model(models[model]).tokens(Size { width: side, height }, detail);
            prop_assert!((1..=most).contains(&tokens), "{} {side}x{height}: {tokens}", models[model]);
        }
    }
}
