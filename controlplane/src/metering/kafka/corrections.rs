//! What was posted to the ledger later, as the topic has it: an object as of a call, with what it corrects and why, and the same
//! sums. Added to those of calls they are the ledger's.

use std::ops::ControlFlow;

use serde_json::{Map, json};

use super::{
    super::{database::Database, row::NUMBERS},
    record::{self, Calls, OF_CALL},
    records::Record,
};
use crate::store::StoreError;

const AT_ONCE: i64 = 500;
const HEAD: [&str; 7] = ["id", "post", "posted_ms", "at_ms", "reason", "entry", "price_version"];

/// Those behind `after`, in the order in which they were posted.
pub fn read(ledger: &mut Database, after: i64) -> Result<Calls, StoreError> {
    let columns = HEAD
        .iter()
        .chain(OF_CALL)
        .chain(&NUMBERS)
        .map(|name| format!("a.{name}"));
    let columns: Vec<String> = columns.collect();
    let sql = format!(
        "SELECT {} FROM adjustments a WHERE a.id > ?1 ORDER BY a.id LIMIT ?2",
        columns.join(", ")
    );
    let mut found = Calls {
        last: after,
        ..Calls::default()
    };
    ledger.each(&sql, &[after, AT_ONCE], |row| {
        let (post, posted_ms) = (row.get::<String>(1)?, row.get::<i64>(2)?);
        let mut members = Map::new();
        let mut put = |name: &str, value| members.insert(name.to_owned(), value);
        put("version", json!(1));
        put("id", json!(post));
        put("ended_at", json!(record::at(row.get(3)?)));
        put("posted_at", json!(record::at(posted_ms)));
        for (at, name) in [(4, "reason"), (5, "entry"), (6, "price_version")] {
            put(name, json!(row.get::<String>(at)?));
        }
        record::put_sums(&mut members, row, HEAD.len())?;
        found.last = row.get(0)?;
        found.oldest_ms = found.oldest_ms.or(u64::try_from(posted_ms).ok());
        found.records.push(Record {
            id: post,
            at_ms: posted_ms,
            value: serde_json::to_vec(&members)?,
        });
        Ok(ControlFlow::Continue(()))
    })?;
    found.more = found.records.len() as i64 == AT_ONCE;
    Ok(found)
}
