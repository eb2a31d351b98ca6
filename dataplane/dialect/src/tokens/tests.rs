//! Against the counts of the tokenizers themselves (golden/tokens, made by bench/tokens/golden.py), and what must hold
//! for any bytes.

use proptest::prelude::*;
use serde_json::Value;

use super::{Counter, Estimate, Learned, Memo, Tokenizer, Unescape, split::MAX_PIECE_BYTES};

const COUNTS: &str = include_str!("../../golden/tokens/counts.jsonl");
const LANGUAGES: &str = include_str!("../../golden/tokens/languages.jsonl");
const ALL: usize = usize::MAX;

fn lines(text: &str) -> impl Iterator<Item = Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap())
}

fn count(tokenizer: Tokenizer, exact_bytes: usize, text: &[u8]) -> Estimate {
    let mut counter = Counter::new(tokenizer, exact_bytes);
    counter.text(&mut Memo::default(), text);
    counter.estimate()
}

/// Fed in pieces that end at these places.
fn count_cut(tokenizer: Tokenizer, exact_bytes: usize, text: &[u8], cuts: &[usize]) -> Estimate {
    let mut counter = Counter::new(tokenizer, exact_bytes);
    let mut memo = Memo::default();
    let mut at = 0;
    for cut in cuts.iter().copied().chain([text.len()]) {
        let cut = cut.clamp(at, text.len());
        counter.feed(&mut memo, &text[at..cut]);
        at = cut;
    }
    counter.end_text(&mut memo);
    counter.estimate()
}

#[test]
fn counts_are_those_of_tiktoken() {
    let mut memo = Memo::default();
    for (number, line) in lines(COUNTS).enumerate() {
        let text = line["text"].as_str().unwrap();
        for tokenizer in [Tokenizer::O200k, Tokenizer::Cl100k] {
            let expected = line[tokenizer.name()].as_u64().unwrap();
            let estimate = count(tokenizer, ALL, text.as_bytes());
            assert!(!estimate.estimated(), "line {number}");
            // What other texts and the other vocabulary left in a memo changes nothing.
            let mut remembering = Counter::new(tokenizer, ALL);
            remembering.text(&mut memo, text.as_bytes());
            remembering.text(&mut memo, text.as_bytes());
            assert_eq!(remembering.estimate().tokens, 2 * estimate.tokens, "line {number}");
            // A piece that was cut may be a token or two more; only those of one repeated letter are so long.
            let tolerance = if text.len() >= MAX_PIECE_BYTES { 6 } else { 0 };
            let off = estimate.tokens.abs_diff(expected);
            assert!(
                off <= tolerance,
                "line {number}, {}: {} instead of {expected}: {text:?}",
                tokenizer.name(),
                estimate.tokens
            );
        }
    }
}

/// The published error is a mean over a corpus; of a paragraph it may be several times as much, but not any.
#[test]
fn estimates_are_near_what_each_tokenizer_counts() {
    for tokenizer in Tokenizer::ALL {
        let (mut said, mut was) = (0, 0);
        for line in lines(LANGUAGES) {
            let text = line["text"].as_str().unwrap();
            let estimate = count(tokenizer, 0, text.as_bytes());
            assert!(estimate.estimated() && estimate.mean_error_basis_points == tokenizer.mean_error_basis_points());
            let Some(expected) = line["counts"][tokenizer.name()].as_u64() else {
                assert_eq!(tokenizer, Tokenizer::Unknown);
                continue;
            };
            let off = estimate.tokens.abs_diff(expected) as f64 / expected as f64;
            assert!(
                off < 0.40,
                "{} of {}: {} instead of {expected}",
                tokenizer.name(),
                line["kind"],
                estimate.tokens
            );
            said += estimate.tokens;
            was += expected;
        }
        let off = said.abs_diff(was) as f64 / was.max(1) as f64;
        assert!(
            off < 0.08 || tokenizer == Tokenizer::Unknown,
            "{}: {said} instead of {was}",
            tokenizer.name()
        );
    }
}

/// The others have no vocabulary here: what a sibling's says of a text is converted, and is nearer than the estimate.
#[test]
fn a_siblings_vocabulary_counts_nearer_than_an_estimate() {
    use Tokenizer::*;
    for tokenizer in [Gemini, Llama, Qwen, DeepSeek, Mistral] {
        let (mut counted_off, mut estimated_off, mut was) = (0, 0, 0);
        for line in lines(LANGUAGES) {
            let text = line["text"].as_str().unwrap().as_bytes();
            let expected = line["counts"][tokenizer.name()].as_u64().unwrap();
            let (counted, estimated) = (count(tokenizer, ALL, text), count(tokenizer, 0, text));
            assert!(counted.estimated(), "it is no count of its own: {counted:?}");
            assert!(counted.mean_error_basis_points < estimated.mean_error_basis_points);
            let off = counted.tokens.abs_diff(expected) as f64 / expected as f64;
            assert!(
                off < 0.25,
                "{} of {}: {} instead of {expected}",
                tokenizer.name(),
                line["kind"],
                counted.tokens
            );
            counted_off += counted.tokens.abs_diff(expected);
            estimated_off += estimated.tokens.abs_diff(expected);
            was += expected;
        }
        let of_all = counted_off as f64 / was as f64;
        assert!(
            of_all < 0.06 && counted_off < estimated_off,
            "{}: off by {counted_off} counted, {estimated_off} estimated, of {was}",
            tokenizer.name()
        );
    }
    for tokenizer in [Claude3, Claude4_7, Unknown] {
        let text = b"Nothing counts this, whatever the budget.";
        assert_eq!(count(tokenizer, ALL, text), count(tokenizer, 0, text));
    }
}

/// One digit a token, where the sibling takes three: no other text is as far from it.
#[test]
fn digits_are_converted_as_the_tokenizer_takes_them() {
    let digits = "31415926535897932384626433832795028841971693993751 ".repeat(8);
    for tokenizer in [Tokenizer::Gemini, Tokenizer::Qwen, Tokenizer::Mistral] {
        let counted = count(tokenizer, ALL, digits.as_bytes()).tokens;
        assert!((370..450).contains(&counted), "{}: {counted}", tokenizer.name());
    }
    let counted = count(Tokenizer::Llama, ALL, digits.as_bytes()).tokens;
    assert!((125..170).contains(&counted), "{counted}");
}

#[test]
fn what_is_beyond_the_counted_bytes_is_corrected_by_them() {
    // Random letters: a token is two letters, which no weights expect.
    let text: String = (0u32..20_000)
        .map(|n| char::from(b'a' + (n.wrapping_mul(2_654_435_761) >> 13) as u8 % 26))
        .enumerate()
        .flat_map(|(at, letter)| [letter].into_iter().chain((at % 9 == 8).then_some(' ')))
        .collect();
    let exact = count(Tokenizer::O200k, ALL, text.as_bytes());
    let off = |estimate: Estimate| estimate.tokens.abs_diff(exact.tokens) as f64 / exact.tokens as f64;
    let corrected = count(Tokenizer::O200k, 4_096, text.as_bytes());
    let alone = count(Tokenizer::O200k, 0, text.as_bytes());
    assert!(
        off(corrected) < 0.02 && off(corrected) < off(alone),
        "{exact:?} {corrected:?} {alone:?}"
    );
    assert!(corrected.mean_error_basis_points < alone.mean_error_basis_points);
    // Likewise where a sibling's vocabulary counts.
    let whole = count(Tokenizer::DeepSeek, ALL, text.as_bytes());
    let corrected = count(Tokenizer::DeepSeek, 4_096, text.as_bytes());
    let off = corrected.tokens.abs_diff(whole.tokens) as f64 / whole.tokens as f64;
    assert!(off < 0.02, "{whole:?} {corrected:?}");
    assert!(corrected.mean_error_basis_points > whole.mean_error_basis_points);
}

#[test]
fn the_budget_is_one_of_time_so_long_pieces_use_it_up_sooner() {
    let counted_basis_points = |text: &str| {
        let estimate = count(Tokenizer::O200k, 8_192, text.as_bytes());
        // Of a text that is half counted, half the error is left.
        10_000 - u64::from(estimate.mean_error_basis_points) * 10_000 / 350
    };
    let words = counted_basis_points(&"count the words ".repeat(1_024));
    let hostile = counted_basis_points(&"qxzjvkwqzxjkvqwzjxkqvzwjkxqvjzwk".repeat(512));
    assert!((4_500..5_500).contains(&words), "{words}");
    assert!((500..1_500).contains(&hostile), "{hostile}");
}

#[test]
fn texts_are_counted_apart() {
    for tokenizer in Tokenizer::ALL {
        let mut counter = Counter::new(tokenizer, ALL);
        counter.text(&mut Memo::default(), b"toke");
        counter.text(&mut Memo::default(), b"nizer");
        let (one, two) = (count(tokenizer, ALL, b"toke"), count(tokenizer, ALL, b"nizer"));
        let sum = one.tokens + two.tokens;
        assert!(sum.abs_diff(counter.estimate().tokens) <= u64::from(one.estimated()));
    }
}

#[test]
fn a_counter_is_small_and_does_not_grow() {
    assert!(size_of::<Counter>() <= 640, "{}", size_of::<Counter>());
}

#[test]
fn models_have_the_tokenizer_of_their_family() {
    use Tokenizer::*;
    let table = [
        ("gpt-4o", O200k),
        ("gpt-4o-mini-2024-07-18", O200k),
        ("gpt-4.1", O200k),
        ("gpt-5.4-nano", O200k),
        ("gpt-oss-120b", O200k),
        ("openai/o3-mini", O200k),
        ("o1", O200k),
        ("chatgpt-4o-latest", O200k),
        ("gpt-4-turbo", Cl100k),
        ("gpt-3.5-turbo", Cl100k),
        ("gpt-35-turbo", Cl100k),
        ("text-embedding-3-small", Cl100k),
        ("claude-3-5-sonnet-20241022", Claude3),
        ("anthropic.claude-3-haiku-20240307-v1:0", Claude3),
        ("eu.anthropic.claude-sonnet-4-20250514-v1:0", Claude3),
        ("claude-opus-4-1@20250805", Claude3),
        ("claude-haiku-4-5", Claude3),
        ("claude-sonnet-4.6", Claude3),
        ("claude-2.1", Claude3),
        ("claude-opus-4-7", Claude4_7),
        ("claude-opus-4-10", Claude4_7),
        ("claude-sonnet-5", Claude4_7),
        ("claude-opus-latest", Claude4_7),
        ("gemini-2.5-flash", Gemini),
        ("models/gemma-3-27b-it", Gemini),
        ("meta-llama/Llama-3.3-70B-Instruct", Llama),
        ("deepseek-r1-distill-llama-70b", Llama),
        ("deepseek-v3.2", DeepSeek),
        ("Qwen/Qwen3-32B", Qwen),
        ("mistral-large-latest", Mistral),
        ("command-r-plus", Unknown),
        ("foo3-mini", Unknown),
        ("", Unknown),
    ];
    for (model, tokenizer) in table {
        assert_eq!(Tokenizer::of_model(model), tokenizer, "{model}");
    }
}

#[test]
fn errors_of_parts_weigh_by_their_tokens() {
    let estimate = |tokens, mean_error_basis_points| Estimate {
        tokens,
        mean_error_basis_points,
    };
    let table = [
        (estimate(100, 0), estimate(0, 0), estimate(100, 0)),
        (estimate(100, 0), estimate(100, 300), estimate(200, 150)),
        (estimate(0, 0), estimate(7, 9_000), estimate(7, 9_000)),
        (estimate(u64::MAX, 300), estimate(1, 300), estimate(u64::MAX, 301)),
    ];
    for (one, two, sum) in table {
        assert_eq!(one.plus(two), sum);
        assert_eq!(two.plus(one), sum);
    }
}

#[test]
fn a_target_teaches_its_ratio() {
    let said = Estimate {
        tokens: 1_000,
        mean_error_basis_points: 1_500,
    };
    let mut learned = Learned::default();
    assert_eq!(learned.correct(said), said);
    for round in 0..200 {
        learned.learn(1_000, if round % 2 == 0 { 1_250 } else { 1_300 });
    }
    let corrected = learned.correct(said);
    assert!((1_260..=1_290).contains(&corrected.tokens), "{corrected:?}");
    assert!(
        (100..=300).contains(&corrected.mean_error_basis_points),
        "{corrected:?}"
    );
    // What says nothing about tokenizers teaches nothing, and nothing teaches without bounds.
    let before = learned;
    learned.learn(3, 300);
    learned.learn(1_000, 0);
    assert_eq!(learned, before);
    learned.learn(u64::MAX, 1);
    learned.learn(32, u64::MAX);
    assert!(learned.correct(said).tokens < 2_000);
    let exact = Estimate {
        tokens: 5,
        mean_error_basis_points: 0,
    };
    assert_eq!(learned.correct(exact), exact);
}

fn unescaped(pieces: &[&[u8]]) -> String {
    let mut text = Vec::new();
    let mut unescape = Unescape::default();
    for piece in pieces {
        unescape.feed(piece, |bytes| text.extend_from_slice(bytes));
    }
    unescape.end(|bytes| text.extend_from_slice(bytes));
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn escapes_are_taken_out_wherever_they_are_cut() {
    let table = [
        (r"plain", "plain"),
        (r#"a\n\t\r\b\f\"\\\/z"#, "a\n\t\r\u{8}\u{c}\"\\/z"),
        (r"\u00e9\u65E5", "é日"),
        (r"\ud83d\ude00!", "😀!"),
        (r"\\u0041", r"\u0041"),
        // What is no JSON has been refused before; here it must only not confuse.
        (r"\ud83d", "\u{fffd}"),
        (r"\ud83dx\u0041", "\u{fffd}xA"),
        (r"\ud83d\n", "\u{fffd}\n"),
        (r"\ud83d\u0041", "\u{fffd}A"),
        (r"\ude00", "\u{fffd}"),
        (r"\uZZZZ", "\u{fffd}ZZZZ"),
        (r"\q", "\u{fffd}q"),
        (r"end\", "end\u{fffd}"),
        (r"end\u12", "end\u{fffd}"),
    ];
    for (raw, text) in table {
        assert_eq!(unescaped(&[raw.as_bytes()]), text, "{raw}");
        for one in 0..=raw.len() {
            for two in one..=raw.len() {
                let raw = raw.as_bytes();
                let cut = unescaped(&[&raw[..one], &raw[one..two], &raw[two..]]);
                assert_eq!(cut, text, "{raw:?} cut at {one} and {two}");
            }
        }
    }
}

/// Texts in which tokenizers see something, and bytes in which they see nothing.
fn texts() -> impl Strategy<Value = Vec<u8>> {
    let parts = prop_oneof![
        4 => "[a-zA-Z]{1,12}",
        2 => "[ \t\r\n\u{a0}]{1,4}",
        1 => "[ \n]{100,400}",
        1 => "[a-zé日]{100,400}",
        2 => "[0-9]{1,7}",
        2 => "[-'\"./(){};:=#]{1,6}",
        1 => "'(s|ll|RE|ſ)",
        2 => "\\PC{1,8}",
    ];
    let text = proptest::collection::vec(parts, 0..40).prop_map(|parts| parts.concat().into_bytes());
    prop_oneof![3 => text, 1 => proptest::collection::vec(any::<u8>(), 0..900)]
}

fn tokenizers() -> impl Strategy<Value = Tokenizer> {
    prop_oneof![
        Just(Tokenizer::O200k),
        Just(Tokenizer::Cl100k),
        proptest::sample::select(Tokenizer::ALL.to_vec())
    ]
}

proptest! {
    #[test]
    fn it_does_not_matter_how_the_bytes_were_cut(
        text in texts(),
        tokenizer in tokenizers(),
        exact in prop_oneof![Just(0), Just(ALL), 1usize..1_500],
        mut cuts in proptest::collection::vec(0usize..2_000, 0..40),
    ) {
        cuts.sort_unstable();
        let whole = count(tokenizer, exact, &text);
        prop_assert_eq!(count_cut(tokenizer, exact, &text, &cuts), whole);
        let every: Vec<usize> = (0..text.len()).collect();
        prop_assert_eq!(count_cut(tokenizer, exact, &text, &every), whole);
    }

    #[test]
    fn a_count_is_at_most_the_bytes_and_at_least_one_in_a_piece(text in texts(), tokenizer in tokenizers()) {
        let exact = count(tokenizer, ALL, &text);
        if tokenizer == Tokenizer::O200k || tokenizer == Tokenizer::Cl100k {
            prop_assert!(exact.tokens <= text.len() as u64);
            prop_assert!(exact.tokens >= text.len().div_ceil(MAX_PIECE_BYTES + 8) as u64);
        }
        prop_assert!(exact.tokens > 0 || text.is_empty() || exact.estimated());
        // Converted from a sibling's count, it is within four times of that.
        use Tokenizer::*;
        let sibling = match tokenizer {
            Gemini | DeepSeek | Mistral => O200k,
            Llama | Qwen => Cl100k,
            _ => return Ok(()),
        };
        let siblings = count(sibling, ALL, &text).tokens;
        prop_assert!((siblings / 4..=siblings * 4).contains(&exact.tokens), "{} of {}", exact.tokens, siblings);
        prop_assert!(exact.tokens > 0 || text.is_empty());
    }

    #[test]
    fn more_text_is_never_estimated_to_be_less(text in texts(), tokenizer in tokenizers(), at in any::<prop::sample::Index>()) {
        let part = &text[..at.index(text.len() + 1)];
        prop_assert!(count(tokenizer, 0, part).tokens <= count(tokenizer, 0, &text).tokens);
        // And with a beginning that was counted: its count is within, and what is behind adds to it.
        let counted = count(tokenizer, 64, &text).tokens;
        prop_assert!(counted <= (text.len() as u64) * 16);
    }

    #[test]
    fn no_escapes_make_it_panic(pieces in proptest::collection::vec(r#"[\\ud0-9a-fDn"]{0,9}"#, 0..6)) {
        let pieces: Vec<&[u8]> = pieces.iter().map(String::as_bytes).collect();
        let whole = pieces.concat();
        prop_assert_eq!(unescaped(&pieces), unescaped(&[&whole]));
    }
}
