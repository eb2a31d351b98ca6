//! The plots of a run, from its histograms and its seconds. Knows which values are shown, not how lines are drawn.

use hdrhistogram::Histogram;

use super::{
    super::{
        Measured, Report, Second,
        format::{clock, count, duration, number},
    },
    plot::{Axis, Plot, Series, Shape},
};

/// Lines of one plot that can still be told apart: the total and seven classes.
const CLASSES_MOST: usize = 7;
/// Points of one line over time; longer runs show several seconds as one.
const MOMENTS_MOST: usize = 240;
const BINS: usize = 60;
/// Points to each nine of a percentile line.
const POINTS_PER_NINE: i32 = 12;

type Named<'a> = (&'a str, &'a Histogram<u64>);

/// Latency by percentile, in total and by class.
pub fn latency(measured: &Measured) -> Plot {
    let sent = |name: &str| measured.report.classes.get(name).map_or(0, |class| class.sent);
    let mut classes: Vec<Named> = measured
        .classes
        .iter()
        .filter(|(_, times)| !times.latency.is_empty())
        .map(|(name, times)| (name.as_str(), &times.latency))
        .collect();
    let all = classes.len();
    if all > CLASSES_MOST {
        classes.sort_by_key(|(name, _)| std::cmp::Reverse(sent(name)));
        classes.truncate(CLASSES_MOST);
    }
    let mut lines = vec![("in total", &measured.total.latency)];
    // One class is the total.
    lines.extend(classes.into_iter().filter(|_| all > 1));
    let left_out = match all > CLASSES_MOST {
        true => format!(" The {CLASSES_MOST} busiest of {all} classes; the tables have all."),
        false => String::new(),
    };
    let counted = match measured.report.load_loop.as_str() {
        "closed" => "from when a request was sent",
        _ => "from when a request was due",
    };
    let about =
        format!("Time to the last byte, counted {counted}; each step to the right has one more nine.{left_out}");
    percentile_plot("Latency by percentile", &about, &lines)
}

/// Where the time goes, in total.
pub fn parts(measured: &Measured) -> Plot {
    let total = &measured.total;
    let lines: Vec<Named> = [
        ("whole answer", &total.latency),
        ("first byte", &total.first_byte),
        ("first token (streams)", &total.first_token),
        ("gateway's own share", &total.gateway),
    ]
    .into_iter()
    .filter(|(_, times)| !times.is_empty())
    .collect();
    let about = "From the start of a request to its first byte, first token and end; and what the gateway spent.";
    percentile_plot("Parts of the time by percentile", about, &lines)
}

fn percentile_plot(title: &str, about: &str, lines: &[Named]) -> Plot {
    let points: Vec<(&str, Vec<(f64, f64)>)> = lines.iter().map(|(name, times)| (*name, percentiles(times))).collect();
    let values: Vec<f64> = points
        .iter()
        .flat_map(|(_, line)| line.iter().map(|(_, ms)| *ms))
        .collect();
    let reach = points
        .iter()
        .filter_map(|(_, line)| line.last())
        .map(|(inverse, _)| *inverse)
        .fold(10.0, f64::max);
    let y = Axis::fitting("ms", &values);
    let about = if y.is_log() {
        format!("{about} Both scales are logarithmic.")
    } else {
        about.to_owned()
    };
    let mut plot = Plot::new(title, Axis::percentiles("percentile", reach), y)
        .about(&about)
        .height(360.0);
    for (name, line) in &points {
        plot = plot.add(Series::new(name, Shape::Line(line.clone())));
    }
    for step in (0..).step_by(2) {
        let inverse = inverse(step);
        if inverse > reach {
            break;
        }
        let quantile = 1.0 - 1.0 / inverse;
        let says: Vec<String> = lines
            .iter()
            .filter(|(_, times)| inverse <= times.len() as f64)
            .map(|(name, times)| format!("{name}: {}", duration(at(times, quantile))))
            .collect();
        plot = plot.column(inverse, format!("{}\n{}", percent(quantile), says.join("\n")));
    }
    plot
}

fn inverse(step: i32) -> f64 {
    10_f64.powf(f64::from(step) / f64::from(POINTS_PER_NINE))
}

fn at(times: &Histogram<u64>, quantile: f64) -> f64 {
    times.value_at_quantile(quantile) as f64 / 1e6
}

/// Points `(1/(1-p), ms)` as far as there are values to tell: a thousand of them know no 99.99 %.
fn percentiles(times: &Histogram<u64>) -> Vec<(f64, f64)> {
    if times.is_empty() {
        return Vec::new();
    }
    let all = times.len() as f64;
    let mut points: Vec<(f64, f64)> = (0..)
        .map(inverse)
        .take_while(|inverse| *inverse < all)
        .map(|inverse| (inverse, at(times, 1.0 - 1.0 / inverse)))
        .collect();
    points.push((all, times.max() as f64 / 1e6));
    points
}

/// 0.99 as `99 %`, 0.99932 as `99.932 %`: two digits past the last nine.
fn percent(quantile: f64) -> String {
    let nines = -(1.0 - quantile).max(1e-12).log10();
    let decimals = (nines.floor() as usize).max(1);
    let digits = format!("{:.decimals$}", quantile * 100.0);
    let short = digits.trim_end_matches('0').trim_end_matches('.');
    format!("{short} % of requests within")
}

/// Seconds seen as one moment.
struct Moment {
    from: f64,
    to: f64,
    rate: f64,
    failed: u64,
    /// Missing where nothing was answered.
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

impl Moment {
    fn of(seconds: &[Second], until: f64) -> Option<Self> {
        let from = seconds.first()?.at_s as f64;
        let whole = seconds.last()?.at_s as f64 + 1.0;
        // The last second of sending may be a short one; answers that come later have theirs.
        let to = if until > from {
            whole.min(until.max(from + 0.25))
        } else {
            whole
        };
        let answered: u64 = seconds.iter().map(|second| second.answered).sum();
        let most = |value: fn(&Second) -> f64| match answered {
            0 => f64::NAN,
            _ => seconds.iter().map(value).fold(0.0, f64::max),
        };
        let weighed: f64 = seconds
            .iter()
            .map(|second| second.p50_ms * second.answered as f64)
            .sum();
        Some(Self {
            from,
            to,
            rate: answered as f64 / (to - from),
            failed: seconds.iter().map(|second| second.failed).sum(),
            p50_ms: if answered > 0 {
                weighed / answered as f64
            } else {
                f64::NAN
            },
            p99_ms: most(|second| second.p99_ms),
            max_ms: most(|second| second.max_ms),
        })
    }

    fn middle(&self) -> f64 {
        (self.from + self.to) / 2.0
    }
}

/// Rate, failures and latency, below one another on the same time axis.
pub fn over_time(report: &Report) -> Vec<Plot> {
    let together = report.series.len().div_ceil(MOMENTS_MOST).max(1);
    let moments: Vec<Moment> = report
        .series
        .chunks(together)
        .filter_map(|seconds| Moment::of(seconds, report.seconds))
        .collect();
    let merged = match together {
        1 => String::new(),
        _ => format!(" Each point is {together} s."),
    };
    if moments.is_empty() {
        return Vec::new();
    }
    let unit = unit(&moments);
    let mut plots = vec![
        rate_plot(report, &moments, unit, &merged),
        latency_plot(&moments, unit, &merged),
    ];
    if report.total.failed.all() > 0 {
        plots.insert(1, failures_plot(&moments, unit, &merged));
    }
    plots.into_iter().map(|plot| told(plot, &moments, unit.1)).collect()
}

/// The unit in which a run is neither a fraction nor a crowd of digits: its name, and its seconds.
fn unit(moments: &[Moment]) -> (&'static str, f64) {
    match moments.last().map_or(0.0, |moment| moment.to) {
        end if end > 18_000.0 => ("hours", 3_600.0),
        end if end > 600.0 => ("minutes", 60.0),
        _ => ("seconds", 1.0),
    }
}

fn time_axis(moments: &[Moment], unit: (&str, f64)) -> Axis {
    let end = moments.last().map_or(1.0, |moment| moment.to);
    let begin = moments.first().map_or(0.0, |moment| moment.from);
    let label = format!("{} since the start", unit.0);
    Axis::between(&label, begin / unit.1, end / unit.1).whole()
}

fn rate_plot(report: &Report, moments: &[Moment], unit: (&str, f64), merged: &str) -> Plot {
    let rates = moments.iter().map(|moment| moment.rate);
    // Room above for the name of the wanted rate.
    let wanted = report.wanted_rate.map(|rate| rate * 1.15);
    let y = Axis::linear("answered a second", rates.chain(wanted));
    let steps = moments
        .iter()
        .map(|moment| (moment.from / unit.1, moment.rate))
        .collect();
    let end = moments.last().map_or(0.0, |moment| moment.to / unit.1);
    let plot = Plot::new("Rate", time_axis(moments, unit), y)
        .about(&format!("Answers that came in each second.{merged}"))
        .height(240.0)
        .add(Series::new("answered", Shape::Steps(steps, end)).colour(1));
    match report.wanted_rate {
        Some(wanted) => plot.level(wanted, &format!("{} wanted (mean)", number(wanted))),
        None => plot,
    }
}

fn failures_plot(moments: &[Moment], unit: (&str, f64), merged: &str) -> Plot {
    let y = Axis::linear("failed", moments.iter().map(|moment| moment.failed as f64)).whole();
    let bars = moments
        .iter()
        .map(|moment| (moment.from / unit.1, moment.to / unit.1, moment.failed as f64))
        .collect();
    Plot::new("Failures", time_axis(moments, unit), y)
        .about(&format!("Requests that failed, by when they did.{merged}"))
        .height(190.0)
        .add(Series::new("failed", Shape::Bars(bars)).colour(2))
}

fn latency_plot(moments: &[Moment], unit: (&str, f64), merged: &str) -> Plot {
    let line = |value: fn(&Moment) -> f64| -> Vec<(f64, f64)> {
        moments
            .iter()
            .map(|moment| (moment.middle() / unit.1, value(moment)))
            .collect()
    };
    let lines = [
        ("longest", line(|moment| moment.max_ms), 2, true),
        ("p99", line(|moment| moment.p99_ms), 1, false),
        ("p50", line(|moment| moment.p50_ms), 3, false),
    ];
    let values: Vec<f64> = lines
        .iter()
        .flat_map(|(_, line, ..)| line.iter().map(|(_, ms)| *ms))
        .collect();
    let y = Axis::fitting("ms", &values);
    let scale = if y.is_log() { " Logarithmic scale." } else { "" };
    let plot = Plot::new("Latency over time", time_axis(moments, unit), y)
        .about(&format!(
            "Of the answers of each second; a gap where none came.{scale}{merged}"
        ))
        .height(270.0);
    lines.into_iter().fold(plot, |plot, (name, line, colour, dashed)| {
        let series = Series::new(name, Shape::Line(line)).colour(colour);
        plot.add(if dashed { series.dashed() } else { series })
    })
}

fn told(plot: Plot, moments: &[Moment], unit_s: f64) -> Plot {
    moments.iter().fold(plot, |plot, moment| {
        let text = format!(
            "at {}\nanswered {}/s, failed {}\np50 {}, p99 {}, longest {}",
            clock(moment.from),
            number(moment.rate),
            count(moment.failed),
            duration(moment.p50_ms),
            duration(moment.p99_ms),
            duration(moment.max_ms)
        );
        plot.column(moment.middle() / unit_s, text)
    })
}

/// The histogram of the time between tokens, when there were streams.
pub fn gaps(measured: &Measured) -> Option<Plot> {
    let times = &measured.total.token_gap;
    if times.is_empty() {
        return None;
    }
    let (low, high) = (
        (times.min() as f64 / 1e6).max(1e-6),
        (times.max() as f64 / 1e6).max(1e-6),
    );
    let log = high / low > 3.0;
    let edge = |place: usize| {
        let share = place as f64 / BINS as f64;
        match log {
            true => low * (high / low).powf(share),
            false => low + (high - low).max(low * 1e-3) * share,
        }
    };
    let mut bins = [0_u64; BINS];
    for step in times.iter_recorded() {
        let ms = step.value_iterated_to() as f64 / 1e6;
        let bin = (0..BINS).position(|bin| ms < edge(bin + 1)).unwrap_or(BINS - 1);
        bins[bin] += step.count_since_last_iteration();
    }
    let x = match log {
        true => Axis::log("ms between tokens", [low, high]),
        false => Axis::between("ms between tokens", edge(0), edge(BINS)),
    };
    let counts = bins.iter().map(|count| *count as f64);
    let y = Axis::log("gaps", counts.chain([0.6]));
    let bars = bins
        .iter()
        .enumerate()
        .map(|(bin, count)| (edge(bin), edge(bin + 1), *count as f64));
    let about = "How many gaps were how long; logarithmic scale, so that the rare long ones are seen.";
    let mut plot = Plot::new("Time between tokens", x, y)
        .about(about)
        .add(Series::new("gaps", Shape::Bars(bars.collect())).colour(1));
    for (name, quantile) in [("p50", 0.5), ("p99", 0.99)] {
        plot = plot.moment(at(times, quantile), name);
    }
    for (bin, gaps) in bins.iter().enumerate() {
        let (from, to) = (edge(bin), edge(bin + 1));
        let text = format!("{} to {}\n{} gaps", duration(from), duration(to), count(*gaps));
        plot = plot.column(if log { (from * to).sqrt() } else { (from + to) / 2.0 }, text);
    }
    Some(plot)
}
