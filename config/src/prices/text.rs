//! The prices of a model as `config/prices/models.json` has them: `i2500000 r250000 o15000000;b i1250000 o7500000`. Lists
//! are divided by `;`; one begins with `>TOKENS` where it is for longer prompts, and with a tier's letter. The file is
//! ours, so what is wrong in it is our mistake: reading asserts.

use super::{Builder, Class, Prices, ServiceTier};

/// `None`: nothing is known.
pub(crate) fn read(text: &str) -> Option<Prices> {
    let mut builder = Builder::default();
    for list in text.split(';') {
        let (mut above, mut tier) = (0, ServiceTier::Standard);
        for word in list.split_ascii_whitespace() {
            match (word, word.split_at(1)) {
                ("b", _) => tier = ServiceTier::Batch,
                ("f", _) => tier = ServiceTier::Flex,
                ("p", _) => tier = ServiceTier::Priority,
                (_, (">", tokens)) => above = number(tokens),
                (_, (letter, picos)) => builder.set(above, tier, class(letter), number(picos)),
            }
        }
    }
    builder.build()
}

fn number(digits: &str) -> u64 {
    digits.parse().expect("models.json: whole numbers")
}

fn class(letter: &str) -> Class {
    match letter {
        "i" => Class::Input,
        "r" => Class::CacheRead,
        "w" => Class::CacheWrite5m,
        "x" => Class::CacheWrite1h,
        "o" => Class::Output,
        "t" => Class::Reasoning,
        "a" => Class::InputAudio,
        "u" => Class::OutputAudio,
        "g" => Class::InputImage,
        "q" => Class::Request,
        other => panic!("models.json: class {other}"),
    }
}
