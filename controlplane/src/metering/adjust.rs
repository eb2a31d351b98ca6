//! What is posted to the ledger later. A record is never edited: what turned out to be otherwise is a record more, in the
//! single records and in the sums at once, and there once however often it is posted.

use rusqlite::{Connection, TransactionBehavior, params_from_iter, types::Value as Cell};

use super::{
    hours::Hours,
    ledger,
    row::{NUMBERS, Numbers, TEXTS},
};
use crate::store::StoreError;

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
pub fn post(connection: &mut Connection, all: &[Adjustment], now_ms: u64) -> Result<usize, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut hours = Hours::default();
    let mut posted = 0;
    for one in all {
        let mut numbers = one.numbers;
        numbers[ADJUSTMENTS] = 1;
        let head = [
            Cell::Text(one.post.clone()),
            Cell::Integer(ledger::whole(now_ms)),
            Cell::Integer(ledger::whole(one.at_ms)),
            Cell::Text(one.reason.clone()),
        ];
        let texts = one.texts.iter().cloned().map(Cell::Text);
        let cells = head
            .into_iter()
            .chain(texts)
            .chain(numbers.into_iter().map(Cell::Integer));
        let inserted = transaction
            .prepare_cached(&statement())?
            .execute(params_from_iter(cells))?;
        if inserted == 1 {
            hours.add_posted(one.at_ms, &one.texts, &numbers);
            posted += 1;
        }
    }
    hours.write(&transaction)?;
    transaction.commit()?;
    Ok(posted)
}

fn statement() -> String {
    let places: Vec<String> = (1..=4 + TEXTS.len() + NUMBERS.len()).map(|n| format!("?{n}")).collect();
    format!(
        "INSERT OR IGNORE INTO adjustments (post, posted_ms, at_ms, reason, {}, {}) VALUES ({})",
        TEXTS.join(", "),
        NUMBERS.join(", "),
        places.join(", ")
    )
}
