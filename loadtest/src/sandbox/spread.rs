//! How long things take: a constant, a log-normal distribution, or one counted in a file; drawn from a seed. Pure but
//! for reading that file; knows no clock.
//!
//! `250ms` · `lognormal(20ms, 200ms)`: median and 99th percentile · `histogram:FILE`: a value and its count per line.

use std::{
    f64::consts::TAU,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The longest that may be asked for: a day.
const MAX_NS: f64 = 86_400e9;
/// A histogram of 100000 lines is smaller.
const MAX_HISTOGRAM_BYTES: u64 = 4 * 1024 * 1024;
/// Of a file's text, in a message about it.
const MAX_QUOTED_CHARS: usize = 16;
/// The standard normal distribution's 99th percentile.
const P99: f64 = 2.326_347_874_040_841;

#[derive(Clone, Debug, PartialEq)]
pub enum Spread {
    Constant(u64),
    LogNormal { median_ns: f64, sigma: f64 },
    Counted(Arc<Counted>),
}

/// Values, each with the count of it and of all before it.
#[derive(Debug, PartialEq)]
pub struct Counted(Vec<(u64, u64)>);

/// Where a file may be named: in a scenario that is itself a file, relative to its folder. Not in a request, nor in a
/// scenario that came with one: whoever reaches the sandbox would read its machine's files.
pub type Folder<'a> = Option<&'a Path>;

impl Spread {
    pub fn parse(text: &str, folder: Folder) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix("histogram:") {
            let folder = folder.ok_or("a file can be named only in a scenario that --scenario gives")?;
            return Counted::read(&folder.join(name.trim())).map(|counted| Self::Counted(Arc::new(counted)));
        }
        let pair = text.strip_prefix("lognormal(").and_then(|rest| rest.strip_suffix(')'));
        let Some(pair) = pair else {
            let ns = unbounded_ns(text).ok_or_else(|| format!("'{text}' is not like {FORMS}"))?;
            return at_most_a_day(text, ns).map(Self::Constant);
        };
        let parsed = pair
            .split_once(',')
            .map(|(median, p99)| (unbounded_ns(median.trim()), unbounded_ns(p99.trim())));
        let Some((Some(median), Some(p99))) = parsed else {
            return Err(format!("'{text}' is not like {FORMS}"));
        };
        match (at_most_a_day(text, median)?, at_most_a_day(text, p99)?) {
            (median, p99) if median > 0 && p99 >= median => Ok(Self::LogNormal {
                median_ns: median as f64,
                sigma: (p99 as f64 / median as f64).ln() / P99,
            }),
            _ => Err(format!(
                "'{text}': a median over zero and a 99th percentile not below it are required"
            )),
        }
    }

    pub fn draw(&self, dice: &mut Dice) -> u64 {
        match self {
            Self::Constant(ns) => *ns,
            Self::LogNormal { median_ns, sigma } => (median_ns * (sigma * dice.normal()).exp()).min(MAX_NS) as u64,
            Self::Counted(counted) => counted.at(dice.unit()),
        }
    }

    /// The sum of `count` draws.
    pub fn draw_sum(&self, count: u64, dice: &mut Dice) -> u64 {
        match self {
            Self::Constant(ns) => ns.saturating_mul(count),
            _ => (0..count).map(|_| self.draw(dice)).fold(0, u64::saturating_add),
        }
    }
}

const FORMS: &str = "'250ms', 'lognormal(20ms, 200ms)' (median, 99th percentile) or 'histogram:FILE'";

impl Counted {
    fn read(path: &PathBuf) -> Result<Self, String> {
        let name = path.display();
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(MAX_HISTOGRAM_BYTES + 1).read_to_end(&mut bytes))
            .map_err(|bad| format!("{name}: {bad}"))?;
        if bytes.len() as u64 > MAX_HISTOGRAM_BYTES {
            return Err(format!(
                "{name}: larger than {MAX_HISTOGRAM_BYTES} bytes, the most a histogram may have"
            ));
        }
        let text = String::from_utf8(bytes).map_err(|_| format!("{name}: not a text in UTF-8"))?;
        Self::parse(&text).map_err(|(line, reason)| match line {
            0 => format!("{name}: {reason}"),
            line => format!("{name}:{line}: {reason}"),
        })
    }

    /// The error has its line, or zero where it is the whole's.
    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut counted = Vec::new();
        let mut total: u64 = 0;
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let wrong = |what: &str| {
                (
                    index + 1,
                    format!("{what}; a value and its count, as in '250ms 17', would be right"),
                )
            };
            let mut columns = line.split([' ', '\t', ',']).filter(|column| !column.is_empty());
            let (Some(value), Some(count), None) = (columns.next(), columns.next(), columns.next()) else {
                return Err(wrong(&format!("'{}' has not two columns", quoted(line))));
            };
            let value = duration_ns(value).map_err(|bad| wrong(&bad))?;
            let count: u64 = count
                .parse()
                .map_err(|_| wrong(&format!("'{}' is no count", quoted(count))))?;
            total = total
                .checked_add(count)
                .ok_or_else(|| wrong("the counts are too many"))?;
            if count > 0 {
                counted.push((value, total));
            }
        }
        match counted.is_empty() {
            true => Err((
                0,
                "nothing is counted in it; a value and its count on each line would be right".to_owned(),
            )),
            false => Ok(Self(counted)),
        }
    }

    /// The value below which that part of the counts lies.
    fn at(&self, part: f64) -> u64 {
        let Some((last, total)) = self.0.last() else { return 0 };
        let wanted = (part * *total as f64) as u64;
        let index = self.0.partition_point(|(_, upto)| *upto <= wanted);
        self.0.get(index).map_or(*last, |(value, _)| *value)
    }
}

/// `250ms`, `1.5s`, `20us`, `2m`, or a bare number of milliseconds; a day at most.
pub fn duration_ns(text: &str) -> Result<u64, String> {
    let ns = unbounded_ns(text).ok_or_else(|| format!("'{}' is not like 30s", quoted(text)))?;
    at_most_a_day(text, ns)
}

fn at_most_a_day(text: &str, ns: f64) -> Result<u64, String> {
    match ns <= MAX_NS {
        true => Ok(ns.round() as u64),
        false => Err(format!("'{}' is over the limit of a day (24h)", quoted(text))),
    }
}

/// The beginning of a text: enough to find it by, not enough to hand out what a file says.
fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn unbounded_ns(text: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 6] = [
        ("ms", 1e6),
        ("us", 1e3),
        ("ns", 1.0),
        ("s", 1e9),
        ("m", 60e9),
        ("h", 3600e9),
    ];
    let unit = UNITS
        .iter()
        .find_map(|(unit, ns)| Some((text.strip_suffix(unit)?, *ns)));
    let (number, ns) = unit.unwrap_or((text, 1e6));
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    Some(number.parse::<f64>().ok().filter(|_| is_plain)? * ns)
}

/// Chance that a seed decides.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64, number: u64) -> Self {
        Self(seed.wrapping_mul(0xff51_afd7_ed55_8ccd) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Zero to one, one left out.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Of the standard normal distribution, by Box and Muller.
    fn normal(&mut self) -> f64 {
        let (radius, angle) = (1.0 - self.unit(), self.unit());
        (-2.0 * radius.ln()).sqrt() * (TAU * angle).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percentile(spread: &Spread, part: f64) -> f64 {
        let mut drawn: Vec<u64> = (0..100_000)
            .map(|number| spread.draw(&mut Dice::new(7, number)))
            .collect();
        drawn.sort_unstable();
        drawn[(part * drawn.len() as f64) as usize] as f64 / 1e6
    }

    #[test]
    fn a_lognormal_has_the_median_and_the_tail_it_says() {
        let spread = Spread::parse("lognormal(20ms, 200ms)", None).unwrap();
        let (p50, p99) = (percentile(&spread, 0.5), percentile(&spread, 0.99));
        assert!(
            (19.4..20.6).contains(&p50) && (190.0..210.0).contains(&p99),
            "{p50} {p99}"
        );
    }

    #[test]
    fn a_histogram_gives_its_values_in_their_shares() {
        let spread = Spread::Counted(Arc::new(Counted::parse("# ms\n5 90\n\n1.5s, 9\n2m\t1\n").unwrap()));
        assert_eq!(
            [0.5, 0.95, 0.9995].map(|part| percentile(&spread, part)),
            [5.0, 1500.0, 120_000.0]
        );
        let fives = (0..10_000)
            .filter(|number| spread.draw(&mut Dice::new(1, *number)) == 5_000_000)
            .count();
        assert!((8_850..9_150).contains(&fives), "{fives}");
    }

    #[test]
    fn the_same_seed_and_number_draw_the_same() {
        let spread = Spread::parse("lognormal(1ms, 9ms)", None).unwrap();
        let draw = |seed, number| spread.draw(&mut Dice::new(seed, number));
        assert_eq!(draw(1, 2), draw(1, 2));
        assert!(draw(1, 2) != draw(1, 3) && draw(1, 2) != draw(2, 2));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for text in [
            "",
            "fast",
            "-5ms",
            "1e3",
            "lognormal(5ms)",
            "lognormal(9ms, 5ms)",
            "lognormal(0ms, 5ms)",
            "histogram:f",
        ] {
            assert!(Spread::parse(text, None).is_err(), "{text}");
        }
        assert_eq!(Counted::parse("5ms 1\n5ms\n").unwrap_err().0, 2);
        assert_eq!(Counted::parse("5ms 1\n\nx 4\n").unwrap_err().0, 3);
        assert_eq!(Counted::parse("5ms one\n").unwrap_err().0, 1);
        assert_eq!(Counted::parse("# nothing\n").unwrap_err().0, 0);
        let missing = Spread::parse("histogram:none.txt", Some(Path::new("/nowhere"))).unwrap_err();
        assert!(missing.starts_with("/nowhere/none.txt: "), "{missing}");
    }
}
