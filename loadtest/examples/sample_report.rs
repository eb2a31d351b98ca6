//! Writes every kind of report of made-up runs into a folder, to look at while changing them; with `progress` as the
//! argument, plays the live display. Sends nothing.

#![allow(dead_code)] // the rooms are made for the program

#[path = "../src/report/mod.rs"]
mod report;
#[path = "../tests/report/sample.rs"]
mod sample;

use std::{env, fs, io, path::Path, thread, time::Duration};

fn main() -> io::Result<()> {
    match env::args().nth(1).as_deref() {
        Some("progress") => play(),
        Some(folder) => write(Path::new(folder)),
        None => Err(io::Error::other("say a folder to write to, or 'progress'")),
    }
}

fn write(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let runs = [
        ("run", sample::busy()),
        ("late", sample::late()),
        ("single", sample::single_class()),
        ("one", sample::one_request()),
        ("none", sample::nothing()),
        ("extreme", sample::extreme()),
    ];
    for (name, measured) in &runs {
        let file = |ending: &str| fs::File::create(folder.join(format!("{name}.{ending}")));
        report::html::write(measured, &mut file("html")?)?;
        report::text::write(measured, &mut file("txt")?)?;
        report::json::write(measured, &mut file("json")?)?;
        report::hgrm::write(measured, &mut file("hgrm")?)?;
    }
    let frontier = sample::frontier();
    report::html::write_frontier(&frontier, &mut fs::File::create(folder.join("sweep.html"))?)?;
    report::text::write_frontier(&frontier, &mut fs::File::create(folder.join("sweep.txt"))?)
}

fn play() -> io::Result<()> {
    let seconds = sample::busy().report.series;
    let mut progress = report::progress::Progress::new(Some(seconds.len() as f64));
    for second in &seconds {
        progress.tick(second);
        thread::sleep(Duration::from_millis(200));
    }
    progress.finish();
    println!("the result");
    Ok(())
}
