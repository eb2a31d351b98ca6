//! What a run's report says, in each of its forms, of made-up runs from none to more than is good. Opens nothing.

#![allow(dead_code)] // the rooms are made for the program

#[path = "report/documents.rs"]
mod documents;
#[path = "report/drawing.rs"]
mod drawing;
#[path = "report/live.rs"]
mod live;
#[path = "../src/report/mod.rs"]
mod report;
#[path = "report/sample.rs"]
mod sample;
#[path = "report/words.rs"]
mod words;
