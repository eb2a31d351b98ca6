//! No call without room for its record: it is refused, or where the document says so waits a while first.

use tollgate_config::document::OnFull;

use crate::{
    exchange::{Exchange, Io},
    failure::{Failure, Kind, Waited},
};

/// Between two looks at whether there is room.
const LOOK_MS: u64 = 50;

/// The shard has no room for a further record.
pub(super) fn without(exchange: &mut Exchange, io: &mut Io<'_>) {
    let keeping = exchange.pin().snapshot.document.usage;
    let until = *exchange
        .call
        .until_room
        .get_or_insert(io.now.plus_ms(keeping.block_for_ms));
    if keeping.on_full != OnFull::Block || until <= io.now {
        return exchange.refuse(Failure::gateway(Kind::UsageSpoolFull), io);
    }
    // It is the disk that takes the time.
    exchange.facts.wait_begins(io.now);
    exchange.call.until_step = Some((io.now.plus_ms(LOOK_MS).min(until), Waited::Backoff));
}
