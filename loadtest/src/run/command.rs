//! The command `run` from its options to its exit code: measure, then write what was asked for where it was asked for.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write},
    path::Path,
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
};

use super::{
    Options, measure,
    options::{Output, Plan},
};
use crate::{
    mix::Kind,
    report::{Measured, hgrm, html, json, progress::Progress, text},
    sweep,
};

const FAILED: u8 = 1;
const BAD_INPUT: u8 = 2;
const NOT_VALID: u8 = 4;

/// Why there is no result.
struct Refusal {
    code: u8,
    reason: String,
}

fn bad_input(reason: String) -> Refusal {
    Refusal {
        code: BAD_INPUT,
        reason,
    }
}

fn failed(reason: String) -> Refusal {
    Refusal { code: FAILED, reason }
}

/// The result goes to standard output, everything else to standard error.
pub fn run(options: Options) -> ExitCode {
    match carry_out(&options) {
        Ok(code) => ExitCode::from(code),
        Err(refusal) => {
            eprintln!("tollgate-loadtest run: {}", refusal.reason);
            ExitCode::from(refusal.code)
        }
    }
}

fn carry_out(options: &Options) -> Result<u8, Refusal> {
    let plan = Plan::of(options).map_err(bad_input)?;
    if options.sweep.is_wanted() {
        return carry_out_sweep(options, plan);
    }
    // Before the run: who waited for it shall not lose it to a folder that is not there.
    let files = Files::create(options).map_err(bad_input)?;
    let spec = plan.spec(options).map_err(failed)?;
    let stop = stop_on_signals().map_err(failed)?;
    let mut progress = Progress::new(Some(spec.duration_ns as f64 / 1e9));
    let measured = measure(&spec, &mut |second| progress.tick(second), &stop).map_err(failed)?;
    progress.finish();
    drop(progress);
    tell(options, files, &measured).map_err(failed)?;
    let verifies = spec.verify && spec.mix.classes.iter().any(|class| class.kind == Kind::Chat);
    let total = &measured.report.total;
    if verifies && total.verified == 0 && total.answered + total.failed.content > 0 {
        eprintln!(
            "no answer had the sandbox's checksum, so no content was verified; --no-verify says that this is meant"
        );
    }
    let report = &measured.report;
    if let Some(warning) = report.warning() {
        eprintln!("{warning}");
        return Ok(NOT_VALID);
    }
    Ok(match options.fail_on_errors && report.total.failed.all() > 0 {
        true => FAILED,
        false => 0,
    })
}

fn carry_out_sweep(options: &Options, plan: Plan) -> Result<u8, Refusal> {
    sweep::refuse_options_of_a_run(options.hgrm.is_some(), options.fail_on_errors).map_err(bad_input)?;
    let spec = plan.spec(options).map_err(failed)?;
    let stream_mix = options.stream_mix(&spec).map_err(bad_input)?;
    let wanted = options.sweep.read(spec.connections, stream_mix).map_err(bad_input)?;
    let stop = stop_on_signals().map_err(failed)?;
    let output = sweep::Output::open(options.output == Output::Json, options.html.as_deref()).map_err(bad_input)?;
    match sweep::command(&spec, &wanted, output, &stop).map_err(failed)? {
        true => Ok(0),
        false => Ok(NOT_VALID),
    }
}

/// The first SIGINT or SIGTERM ends the run with the results so far, the next one the program.
fn stop_on_signals() -> Result<Arc<AtomicBool>, String> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, stop.clone())
            .and_then(|_| signal_hook::flag::register(signal, stop.clone()))
            .map_err(|bad| format!("cannot listen for signals: {bad}"))?;
    }
    Ok(stop)
}

/// The files asked for, open for writing.
struct Files {
    html: Option<(String, File)>,
    hgrm: Option<(String, File)>,
}

impl Files {
    fn create(options: &Options) -> Result<Self, String> {
        let create = |flag: &str, path: &Path| {
            let name = format!("{flag} {}", path.display());
            // What an earlier run left stays until this one has something to put in its place.
            match OpenOptions::new().write(true).create(true).truncate(false).open(path) {
                Ok(file) => Ok((name, file)),
                Err(bad) => Err(format!("{name}: {bad}; name a file in a folder that may be written to")),
            }
        };
        let html = options.html.as_deref().map(|path| create("--html", path));
        let hgrm = options.hgrm.as_deref().map(|path| create("--hgrm", path));
        Ok(Self {
            html: html.transpose()?,
            hgrm: hgrm.transpose()?,
        })
    }
}

fn tell(options: &Options, files: Files, measured: &Measured) -> Result<(), String> {
    let mut out = BufWriter::new(io::stdout().lock());
    let written = match options.output {
        Output::Json => json::write(measured, &mut out),
        Output::Text => text::write(measured, &mut out),
    };
    match written.and_then(|()| out.flush()) {
        // Whoever read it has seen enough.
        Err(bad) if bad.kind() == io::ErrorKind::BrokenPipe => {}
        written => written.map_err(|bad| format!("cannot write the result: {bad}"))?,
    }
    if let Some((name, file)) = files.html {
        write_file(&name, file, |to| html::write(measured, to))?;
    }
    if let Some((name, file)) = files.hgrm {
        write_file(&name, file, |to| hgrm::write(measured, to))?;
    }
    Ok(())
}

fn write_file(
    name: &str,
    file: File,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), String> {
    // Refused for what is no regular file, where nothing is to be cut.
    let _ = file.set_len(0);
    let mut to = BufWriter::new(file);
    write(&mut to)
        .and_then(|()| to.flush())
        .map_err(|bad| format!("{name}: {bad}"))
}
