//! Measures the semantic cache's parts and the complexity router (docs/src/semantic-cache.md, docs/src/meaning.md):
//!
//!     meaning pairs                  hits and false hits on bench/data/pairs.jsonl by threshold, as the tables of the page
//!     meaning embedding              time of an embedding, by length
//!     meaning search ENTRIES         recall and time of a search among so many entries made of pieces of those sentences
//!     meaning inserts ENTRIES RATE   what so many inserts a second, on another thread, do to searches
//!     meaning speed ENTRIES…         all three as the tables of the page, a row for each number of entries
//!     meaning families FILE [PART]   kinds of complexity routers, made from graded prompts and compared; those with PART in their
//!                                    names

mod corpus;
mod embedding;
mod families;
mod inserts;
mod pairs;
mod search;
mod timing;

use corpus::{Corpus, Filled};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |text: &str| text.parse::<usize>().map_err(|_| format!("`{text}` is no number"));
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["pairs"] => {
            pairs::pairs();
            Ok(())
        }
        ["embedding"] => {
            embedding::embedding();
            Ok(())
        }
        ["search", entries] => number(entries).map(|entries| {
            println!("{}", search::HEAD);
            filled(entries, search::search);
        }),
        ["inserts", entries, rate] => {
            number(entries)
                .and_then(|entries| Ok((entries, number(rate)?)))
                .map(|(entries, rate)| {
                    println!("{}", inserts::HEAD);
                    filled(entries, |corpus, filled| inserts::inserts(corpus, filled, rate));
                })
        }
        ["speed", ref sizes @ ..] => sizes
            .iter()
            .map(|entries| number(entries))
            .collect::<Result<Vec<_>, _>>()
            .map(speed),
        ["families", file] => families::families(std::path::Path::new(file), ""),
        ["families", file, part] => families::families(std::path::Path::new(file), part),
        _ => Err(
            "meaning pairs | embedding | search ENTRIES | inserts ENTRIES RATE | speed ENTRIES… | families FILE [PART OF A NAME]"
                .to_owned(),
        ),
    };
    if let Err(wrong) = done {
        eprintln!("{wrong}");
        std::process::exit(2);
    }
}

/// Inserts a second, of the tables.
const RATE: usize = 1_000;

/// All tables of the page but those of pairs. An index is made once for two of them, so their rows take turns.
fn speed(sizes: Vec<usize>) {
    embedding::embedding();
    for entries in sizes {
        filled(entries, |corpus, filled| {
            println!("{}", search::HEAD);
            search::search(corpus, filled);
            println!("{}", inserts::HEAD);
            inserts::inserts(corpus, filled, RATE);
        });
    }
}

fn filled(entries: usize, measure: impl FnOnce(&mut Corpus, &Filled)) {
    let mut corpus = Corpus::new();
    let filled = corpus.fill(entries, search::STREAM);
    measure(&mut corpus, &filled);
}
