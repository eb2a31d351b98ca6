//! `tollgate-loadtest plan`: from a demand and measurements to machines. Files in, a plan out; it must never know the
//! gateway, nor measure anything itself.

mod bounds;
mod cost;
mod defaults;
mod demand;
mod figure;
mod finite;
mod growth;
mod html;
mod least_squares;
mod limits;
mod load;
mod measured;
mod memory;
mod quantity;
mod resources;
mod scale;
mod sizing;
mod text;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use demand::Demand;
use measured::Measurements;
use sizing::{Given, Plan};

#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// What will be asked, as YAML; config/loadtest/demand has examples
    #[arg(long, value_name = "FILE")]
    demand: PathBuf,
    /// What was measured: JSON of `run --output json`, several one after another; without it, defaults, marked as such
    #[arg(long, value_name = "FILE")]
    measurements: Vec<PathBuf>,
    /// Writes the plan as a page that opens offline, with a plot
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// Plan even beyond 8 times what was measured
    #[arg(long)]
    extrapolate: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// Tables, in Markdown
    Text,
    Json,
}

/// Why there is no plan.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// A file, or what is in it: exit code 2.
    BadInput(String),
    Failed(String),
}

pub fn main(options: &Options) -> ExitCode {
    /// As `tollgate check` answers for bad input.
    const BAD_INPUT: u8 = 2;
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            let (code, reason) = match refusal {
                Refusal::BadInput(reason) => (ExitCode::from(BAD_INPUT), reason),
                Refusal::Failed(reason) => (ExitCode::FAILURE, reason),
            };
            eprintln!("tollgate-loadtest plan: {reason}");
            code
        }
    }
}

fn run(options: &Options) -> Result<(), Refusal> {
    let plan = plan(&options.demand, &options.measurements, options.extrapolate)?;
    if let Some(path) = &options.html {
        write_html(&plan, path).map_err(|bad| Refusal::Failed(format!("{}: {bad}", path.display())))?;
    }
    let told = match options.output {
        Output::Text => text::render(&plan),
        Output::Json => serde_json::to_string_pretty(&plan).map_err(|bad| Refusal::Failed(bad.to_string()))? + "\n",
    };
    match std::io::stdout().write_all(told.as_bytes()) {
        // A reader such as `head` that has seen enough is no failure.
        Err(bad) if bad.kind() != std::io::ErrorKind::BrokenPipe => Err(Refusal::Failed(format!("stdout: {bad}"))),
        _ => Ok(()),
    }
}

fn write_html(plan: &Plan, path: &Path) -> std::io::Result<()> {
    let mut page = Vec::new();
    html::page(plan).write(&mut page)?;
    std::fs::write(path, page)
}

fn plan(demand_file: &Path, files: &[PathBuf], extrapolate: bool) -> Result<Plan, Refusal> {
    let demand = Demand::read(demand_file).map_err(Refusal::BadInput)?;
    let measured = Measurements::read(files).map_err(Refusal::BadInput)?;
    let demand_name = demand_file.display().to_string();
    let given = Given {
        demand: &demand,
        demand_file: demand_name.clone(),
        measured: &measured,
        measured_files: files.iter().map(|file| file.display().to_string()).collect(),
    };
    let plan = sizing::plan(given).map_err(|why| Refusal::BadInput(format!("{demand_name}: {why}")))?;
    if let Some(fault) = finite::fault(&plan) {
        return Err(Refusal::Failed(format!("{demand_name}: {fault}")));
    }
    if plan.beyond.is_empty() || extrapolate {
        return Ok(plan);
    }
    let told: Vec<String> = plan.beyond.iter().map(limits::Beyond::told).collect();
    Err(Refusal::BadInput(format!(
        "{demand_name} asks for more than {:.0} times what was measured:\n  {}\nmeasure nearer to it, or say --extrapolate",
        limits::MOST_TIMES,
        told.join("\n  ")
    )))
}
