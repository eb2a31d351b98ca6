//! What a text is about, by exemplars: topics that are denied, and topics that are allowed all the same. A text is looked at
//! sentence by sentence, so that one sentence in a long text is found. Knows no prompt, no answer and no stream.

use crate::{Embedder, ExemplarScratch, Exemplars, Nearness, Scratch};

/// A longer sentence is looked at in stretches that overlap by half.
const STRETCH_WORDS: usize = 24;
/// So much of a longer text is looked at, half of it at either end.
pub const MAX_LOOKED_AT_BYTES: usize = 128 << 10;

/// Topics and the examples of each, immutable and shared.
#[derive(Debug)]
pub struct Topics {
    exemplars: Exemplars,
    denied: usize,
    threshold: f32,
}

/// What was seen of a text so far. Begins empty, and is of one `Topics`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seen {
    /// The denied topic that was most above what else is near.
    found: Option<Near>,
    /// The nearest of all denied ones, and of all allowed ones.
    denied: Option<Near>,
    allowed: Option<Near>,
}

/// A topic, by its place among the denied or the allowed ones, and how near a sentence is to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Near {
    pub topic: usize,
    pub score: f32,
}

/// What is to become of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Nothing speaks against it; what was nearest, where anything was compared.
    Passes(Option<Near>),
    Denied(Near),
    /// Nothing is denied, and it is near nothing that is allowed.
    NotAllowed(Option<Near>),
}

/// What looking needs while it runs; kept by the caller, so that texts after the first do not allocate.
#[derive(Debug, Default)]
pub struct TopicScratch {
    embed: Scratch,
    exemplars: ExemplarScratch,
    near: Vec<Nearness>,
    vector: Vec<f32>,
}

impl Topics {
    /// Each topic by its examples.
    pub fn new<'a, Texts>(
        embedder: &Embedder,
        deny: impl ExactSizeIterator<Item = Texts>,
        allow: impl Iterator<Item = Texts>,
        threshold: f32,
    ) -> Self
    where
        Texts: IntoIterator<Item = &'a str>,
    {
        Self {
            denied: deny.len(),
            exemplars: Exemplars::new(embedder, deny.chain(allow)),
            threshold,
        }
    }

    fn compare(&self, (vector, room): (&[f32], &mut ExemplarScratch), near: &mut Vec<Nearness>, seen: &mut Seen) {
        self.exemplars.compare(vector, room, near);
        let (denied, allowed) = near.split_at(self.denied.min(near.len()));
        let (denied, allowed) = (nearest(denied), nearest(allowed));
        let is_nearer = |near: &Near| allowed.is_none_or(|allowed| near.score > allowed.score);
        let found = denied.filter(|near| near.score >= self.threshold && is_nearer(near));
        keep(&mut seen.found, found);
        keep(&mut seen.denied, denied);
        keep(&mut seen.allowed, allowed);
    }

    pub fn verdict(&self, seen: &Seen) -> Verdict {
        match (seen.found, self.denied) {
            (Some(found), _) => Verdict::Denied(found),
            (None, 0) if seen.allowed.is_none_or(|near| near.score < self.threshold) => {
                Verdict::NotAllowed(seen.allowed)
            }
            (None, 0) => Verdict::Passes(seen.allowed),
            (None, _) => Verdict::Passes(seen.denied),
        }
    }
}

/// By what the nearest of a topic's examples and the middle of them all are.
fn nearest(groups: &[Nearness]) -> Option<Near> {
    let scores = groups.iter().map(score).enumerate();
    scores.fold(None, |best: Option<Near>, (topic, score)| match best {
        Some(best) if best.score >= score => Some(best),
        _ => Some(Near { topic, score }),
    })
}

/// Few examples of a topic are far from their own middle, and one of them that is near says enough.
fn score(near: &Nearness) -> f32 {
    near.example.max(near.score)
}

fn keep(best: &mut Option<Near>, one: Option<Near>) {
    if let Some(one) = one
        && best.is_none_or(|best| one.score > best.score)
    {
        *best = Some(one);
    }
}

/// Looks at a text for all of these at once: it is embedded once. `seen` has one for each.
pub fn look(embedder: &Embedder, text: &str, scratch: &mut TopicScratch, topics: &mut [(&Topics, Seen)]) {
    let TopicScratch {
        embed,
        exemplars,
        near,
        vector,
    } = scratch;
    vector.resize(embedder.dims(), 0.0);
    for part in ends(text) {
        stretches(part, &mut |stretch| {
            if embedder.embed(stretch, embed, vector) > 0 {
                for (topics, seen) in topics.iter_mut() {
                    topics.compare((vector, exemplars), near, seen);
                }
            }
        });
    }
}

/// The text, or its two ends.
fn ends(text: &str) -> [&str; 2] {
    if text.len() <= MAX_LOOKED_AT_BYTES {
        return [text, ""];
    }
    let head = text.floor_char_boundary(MAX_LOOKED_AT_BYTES / 2);
    let tail = text.ceil_char_boundary(text.len() - MAX_LOOKED_AT_BYTES / 2);
    [
        text.get(..head).unwrap_or_default(),
        text.get(tail..).unwrap_or_default(),
    ]
}

/// Its sentences, and of longer ones stretches of so many words.
fn stretches(text: &str, look: &mut impl FnMut(&str)) {
    let mut rest = text;
    while !rest.is_empty() {
        let (sentence, behind) = rest.split_at(sentence_end(rest).unwrap_or(rest.len()));
        rest = behind;
        let mut words = sentence.split_whitespace();
        if words.by_ref().nth(STRETCH_WORDS).is_none() {
            look(sentence);
            continue;
        }
        // Where each stretch may begin: so many words apart.
        let mut begins = word_starts(sentence).step_by(STRETCH_WORDS / 2).peekable();
        while let Some(from) = begins.next() {
            let mut ahead = begins.clone();
            let to = match (ahead.next(), ahead.next()) {
                (Some(_), Some(to)) => to,
                _ => sentence.len(),
            };
            look(sentence.get(from..to).unwrap_or_default());
            if to == sentence.len() {
                break;
            }
        }
    }
}

fn word_starts(text: &str) -> impl Iterator<Item = usize> + Clone {
    let mut inside = false;
    text.char_indices().filter_map(move |(at, character)| {
        let begins = !inside && !character.is_whitespace();
        inside = !character.is_whitespace();
        begins.then_some(at)
    })
}

/// Where the first sentence of a text ends, with the white space behind it; `None` where it may go on.
pub fn sentence_end(text: &str) -> Option<usize> {
    let mut ends = false;
    for (at, character) in text.char_indices() {
        match character {
            '\n' | '。' | '！' | '？' => return Some(at + character.len_utf8()),
            '.' | '!' | '?' | ';' => ends = true,
            // What closes belongs to the sentence.
            '"' | '\'' | ')' | ']' | '*' | '_' | '”' | '’' | '»' => {}
            character if character.is_whitespace() && ends => return Some(at + character.len_utf8()),
            _ => ends = false,
        }
    }
    None
}

/// How much of a text, from its beginning, is whole sentences.
pub fn whole_sentences(text: &str) -> usize {
    let mut whole = 0;
    while let Some(end) = text.get(whole..).and_then(sentence_end) {
        whole += end;
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<String> {
        let mut all = Vec::new();
        stretches(text, &mut |stretch| all.push(stretch.trim().to_owned()));
        all
    }

    #[test]
    fn a_text_is_cut_into_sentences_and_a_long_one_into_stretches_that_overlap() {
        assert_eq!(
            cut("One. Is it \"two?\" Yes!\nthree; 3.5 four"),
            ["One.", "Is it \"two?\"", "Yes!", "three;", "3.5 four"]
        );
        assert_eq!(cut("一。二"), ["一。", "二"]);
        let words: Vec<String> = (0..60).map(|word| format!("w{word}")).collect();
        let stretches = cut(&words.join(" "));
        assert!(
            stretches[0].starts_with("w0 ") && stretches[0].ends_with(" w23"),
            "{stretches:?}"
        );
        assert!(
            stretches[1].starts_with("w12 ") && stretches[1].ends_with(" w35"),
            "{stretches:?}"
        );
        assert!(
            stretches.last().is_some_and(|last| last.ends_with(" w59")),
            "{stretches:?}"
        );
    }

    #[test]
    fn what_may_go_on_is_no_whole_sentence() {
        for (text, whole) in [
            ("", 0),
            ("It is 3.", 0),
            ("It is 3. ", 9),
            ("It is 3.5 of", 0),
            ("Yes.\nNo", 5),
            ("He said \"no.\" And", 14),
        ] {
            assert_eq!(whole_sentences(text), whole, "{text}");
        }
    }

    fn topics(deny: &[&[&'static str]], allow: &[&[&'static str]]) -> Topics {
        let embedder = Embedder::builtin().expect("the shipped model loads");
        let deny = deny.iter().map(|texts| texts.iter().copied());
        Topics::new(&embedder, deny, allow.iter().map(|texts| texts.iter().copied()), 0.5)
    }

    fn of(topics: &Topics, text: &str) -> Verdict {
        let embedder = Embedder::builtin().expect("the shipped model loads");
        let mut seen = [(topics, Seen::default())];
        look(&embedder, text, &mut TopicScratch::default(), &mut seen);
        topics.verdict(&seen[0].1)
    }

    #[test]
    fn what_is_near_a_denied_topic_is_found_unless_an_allowed_one_is_nearer() {
        const LAYOFFS: &[&str] = &["who will be laid off", "severance plans"];
        const LAW: &[&str] = &["who may be laid off according to labor law"];
        let strict = topics(&[LAYOFFS], &[]);
        let denied = |verdict| matches!(verdict, Verdict::Denied(near) if near.topic == 0);
        let long = format!(
            "{} Who is going to be laid off? {}",
            "It rains. ".repeat(500),
            "The sun shines. ".repeat(500)
        );
        for text in ["Who will be laid off next?", &long] {
            assert!(denied(of(&strict, text)), "{text}");
        }
        assert!(matches!(
            of(&strict, "A recipe for pancakes, please."),
            Verdict::Passes(Some(_))
        ));
        assert!(matches!(of(&strict, "⁂"), Verdict::Passes(None)));
        let question = "Who can be laid off according to labor law?";
        assert!(denied(of(&strict, question)));
        assert!(matches!(of(&topics(&[LAYOFFS], &[LAW]), question), Verdict::Passes(_)));
        let allowed = topics(&[], &[LAW]);
        assert!(matches!(of(&allowed, question), Verdict::Passes(_)));
        assert!(matches!(
            of(&allowed, "A recipe for pancakes."),
            Verdict::NotAllowed(Some(_))
        ));
        assert!(matches!(of(&allowed, ""), Verdict::NotAllowed(None)));
    }
}
