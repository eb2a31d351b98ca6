//! What is posted to the ledger later. A record is never edited: what turned out to be otherwise is a record more, in the
//! single records and in the sums at once, and there once however often it is posted.

use super::{
    database::Database,
    hours::Hours,
    ledger,
    names::Names,
    row::{NUMBERS, Numbers, TEXTS},
};
use crate::{postgres::Cell, store::StoreError};

/// The place of `adjustments` in `NUMBERS`.
const ADJUSTMENTS: usize = 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjustment {
    /// What makes it be there once.
    pub post: String,
    /// When what it corrects was.
    pub at_ms: u64,
    pub reason: String,
    /// By `TEXTS`.
    pub texts: [String; TEXTS.len()],
    pub numbers: Numbers,
}

/// Posts those that were not posted before, and answers how many those are.
pub fn post(ledger: &mut Database, all: &[Adjustment], now_ms: u64) -> Result<usize, StoreError> {
    let mut transaction = ledger.begin_to_write()?;
    let mut names = Names::default();
    let mut hours = Hours::default();
    let mut posted = 0;
    let sql = statement();
    for one in all {
        let mut numbers = one.numbers;
        numbers[ADJUSTMENTS] = 1;
        let head = [
            Cell::Text(&one.post),
            Cell::Whole(ledger::whole(now_ms)),
            Cell::Whole(ledger::whole(one.at_ms)),
            Cell::Text(&one.reason),
        ];
        let texts = one.texts.iter().map(|text| Cell::Text(text));
        let cells = head.into_iter().chain(texts);
        let cells: Vec<Cell<'_>> = cells.chain(numbers.map(Cell::Whole)).collect();
        if transaction.execute(&sql, &cells)? == 1 {
            hours.add_posted(&mut names, one.at_ms, &one.texts, &numbers);
            posted += 1;
        }
    }
    transaction.add_hours(&mut names, &hours.into_sums())?;
    transaction.commit()?;
    Ok(posted)
}

fn statement() -> String {
    let places: Vec<String> = (1..=4 + TEXTS.len() + NUMBERS.len()).map(|n| format!("?{n}")).collect();
    format!(
        "INSERT INTO adjustments (post, posted_ms, at_ms, reason, {}, {}) VALUES ({}) ON CONFLICT DO NOTHING",
        TEXTS.join(", "),
        NUMBERS.join(", "),
        places.join(", ")
    )
}
