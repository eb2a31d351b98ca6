//! A ledger that is elsewhere from now on. What was told stays where it is; how far the spool was read, and calls that are
//! open, go along, so that no record is in both and none in neither.

use super::database::{Database, Place};
use crate::store::StoreError;

/// Done twice it changes nothing: the mark that is further stays.
pub fn carry(from: &mut Database, to: &mut Database) -> Result<(), StoreError> {
    to.open()?;
    if is_same(from, to)? {
        return Ok(());
    }
    let there = to.marks()?;
    for ((boot, shard), mark) in from.marks()? {
        let mut leaving = from.begin()?.0;
        let mut open = Vec::new();
        loop {
            let some = leaving.some_open(boot, shard)?;
            if some.is_empty() {
                break;
            }
            for (sequence, frame) in some {
                leaving.take_open(boot, shard, sequence)?;
                open.push((sequence, frame));
            }
        }
        let before = there.iter().find(|(of, _)| *of == (boot, shard)).map(|(_, mark)| *mark);
        if before.is_none_or(|before| before.next_sequence < mark.next_sequence) {
            let mut coming = to.begin()?.0;
            // Of an earlier move that came back: calls that were closed since.
            loop {
                let some = coming.some_open(boot, shard)?;
                if some.is_empty() {
                    break;
                }
                for (sequence, _) in some {
                    coming.take_open(boot, shard, sequence)?;
                }
            }
            let frames = open.iter().map(|(sequence, frame)| (*sequence, frame.as_slice()));
            coming.insert_open(boot, shard, frames)?;
            coming.move_mark(boot, shard, before.unwrap_or(mark), mark)?;
            coming.commit()?;
        }
        leaving.forget_mark(boot, shard)?;
        leaving.commit()?;
    }
    Ok(())
}

/// The same tables by another address, password or way to connect.
fn is_same(from: &mut Database, to: &mut Database) -> Result<bool, StoreError> {
    match (&from.place, &to.place) {
        (Place::Postgres { settings: a, .. }, Place::Postgres { settings: b, .. }) => {
            let of = |place: &tollgate_config::document::Postgres| {
                (place.host.clone(), place.port, place.name.clone(), place.schema.clone())
            };
            Ok(of(a) == of(b) || from.identity()? == to.identity()?)
        }
        (from, to) => Ok(from == to),
    }
}
