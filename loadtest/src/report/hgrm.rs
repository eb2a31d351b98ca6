//! HdrHistogram's percentile text (`.hgrm`), which its plotter and those of others read. Values in milliseconds.

use std::io::{self, Write};

use hdrhistogram::Histogram;

use super::Measured;

/// Lines between one halving of the distance to 100 % and the next; five is what other tools write.
const TICKS_PER_HALF_DISTANCE: u32 = 5;

/// The latency of all requests.
pub fn write(measured: &Measured, to: &mut impl Write) -> io::Result<()> {
    write_times(&measured.total.latency, to)
}

pub fn write_times(times: &Histogram<u64>, to: &mut impl Write) -> io::Result<()> {
    writeln!(
        to,
        "{:>12} {:>14} {:>10} {:>14}\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    )?;
    let mut counted = 0;
    for step in times.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        counted += step.count_since_last_iteration();
        let value_ms = step.value_iterated_to() as f64 / 1e6;
        let quantile = step.quantile_iterated_to();
        write!(to, "{value_ms:>12.6} {quantile:>2.12} {counted:>10}")?;
        // The last line has no finite inverse: plotters skip lines of three columns.
        match quantile < 1.0 {
            true => writeln!(to, " {:>14.2}", 1.0 / (1.0 - quantile))?,
            false => writeln!(to)?,
        }
    }
    write_footer(times, to)
}

fn write_footer(times: &Histogram<u64>, to: &mut impl Write) -> io::Result<()> {
    let (mean_ms, deviation_ms) = match times.is_empty() {
        true => (0.0, 0.0),
        false => (times.mean() / 1e6, times.stdev() / 1e6),
    };
    let max_ms = times.max() as f64 / 1e6;
    let sub_buckets = sub_buckets(times.sigfig());
    writeln!(
        to,
        "#[Mean    = {mean_ms:>12.6}, StdDeviation   = {deviation_ms:>12.6}]"
    )?;
    writeln!(to, "#[Max     = {max_ms:>12.6}, Total count    = {:>12}]", times.len())?;
    let buckets = buckets(times.high(), sub_buckets);
    writeln!(to, "#[Buckets = {buckets:>12}, SubBuckets     = {sub_buckets:>12}]")
}

/// Slots in which values of one power of two are told apart at so many significant digits.
fn sub_buckets(significant_digits: u8) -> u64 {
    (2 * 10_u64.pow(u32::from(significant_digits))).next_power_of_two()
}

/// Powers of two that are needed, beyond the first span of slots, to reach the highest value.
fn buckets(highest: u64, sub_buckets: u64) -> u32 {
    let mut reach = u128::from(sub_buckets);
    let mut buckets = 1;
    while reach <= u128::from(highest) {
        reach *= 2;
        buckets += 1;
    }
    buckets
}
