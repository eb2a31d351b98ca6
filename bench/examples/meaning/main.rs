//! Measures the semantic cache's parts and the complexity router (docs/src/semantic-cache.md, docs/src/meaning.md):
//!
//!     meaning pairs                  hits and false hits on bench/data/pairs.jsonl by threshold, as the tables of the page
//!     meaning search ENTRIES         recall and time of a search among so many entries made of pieces of those sentences
//!     meaning inserts ENTRIES RATE   what so many inserts a second, on another thread, do to searches
//!     meaning families FILE [PART]   kinds of complexity routers, made from graded prompts and compared; those with PART in their
//!                                    names

mod corpus;
mod families;
mod inserts;
mod pairs;
mod search;
mod timing;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |text: &str| text.parse::<usize>().map_err(|_| format!("`{text}` is no number"));
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["pairs"] => {
            pairs::pairs();
            Ok(())
        }
        ["search", entries] => number(entries).map(search::search),
        ["inserts", entries, rate] => number(entries)
            .and_then(|entries| Ok((entries, number(rate)?)))
            .map(|(entries, rate)| inserts::inserts(entries, rate)),
        ["families", file] => families::families(std::path::Path::new(file), ""),
        ["families", file, part] => families::families(std::path::Path::new(file), part),
        _ => Err("meaning pairs | search ENTRIES | inserts ENTRIES RATE | families FILE [PART OF A NAME]".to_owned()),
    };
    if let Err(wrong) = done {
        eprintln!("{wrong}");
        std::process::exit(2);
    }
}
