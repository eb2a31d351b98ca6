//! The side thread that has records written to the disk: it alone waits for that. A shard asks, goes on, and is told.
//! What was asked together is written together, so a slow disk makes groups larger and not the queue.

use std::{sync::Arc, time::Duration};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::maker::Told;
use crate::{
    messages::{ShardHandle, ToShard},
    sys::segment::Pages,
};

/// Each shard has at most one ask under way, and a few more as its segments fill.
const ASKS: usize = 1024;
/// Records of so much time are written together, and are what a power cut may take.
pub const GROUP_COMMIT: Duration = Duration::from_millis(50);
/// Between two tries at a disk that refuses.
const RETRY: Duration = Duration::from_millis(500);
/// How long a shard may take to have room for an answer.
const SHARD_PATIENCE: Duration = Duration::from_secs(5);
const SHARD_TRIES: usize = 100;

/// Pages that were written to.
#[derive(Debug)]
pub struct Ask {
    pub shard: u16,
    pub pages: Vec<Pages>,
    /// All records up to this one are in them, or in pages of an earlier ask.
    pub sequence: u64,
    /// Somebody waits.
    pub at_once: bool,
}

/// Starts the thread.
pub fn start(shards: Arc<[ShardHandle]>, tell: impl Fn(Told) + Send + 'static) -> Result<Sender<Ask>, String> {
    let (asks, asked) = bounded(ASKS);
    std::thread::Builder::new()
        .name("spool-sync".to_owned())
        .spawn(move || run(&asked, &shards, &tell))
        .map_err(|error| format!("cannot start the thread that syncs usage records: {error}"))?;
    Ok(asks)
}

#[allow(clippy::disallowed_methods)] // A thread of its own: it waits.
fn run(asked: &Receiver<Ask>, shards: &[ShardHandle], tell: &dyn Fn(Told)) {
    let mut refused = false;
    while let Ok(first) = asked.recv() {
        if !first.at_once {
            std::thread::sleep(GROUP_COMMIT);
        }
        let asks: Vec<Ask> = [first].into_iter().chain(asked.try_iter()).collect();
        while let Err(error) = asks.iter().flat_map(|ask| &ask.pages).try_for_each(Pages::sync) {
            if !std::mem::replace(&mut refused, true) {
                tell(Told::Unsynced(format!(
                    "usage records cannot be written to the disk: {error}"
                )));
            }
            std::thread::sleep(RETRY);
        }
        if std::mem::take(&mut refused) {
            tell(Told::Well);
        }
        for ask in asks {
            if let Some(shard) = shards.get(usize::from(ask.shard)) {
                // A shard that never hears of it would wait for ever; one that has ended refuses at once.
                (0..SHARD_TRIES).any(|_| shard.send_within(ToShard::Synced(ask.sequence), SHARD_PATIENCE));
            }
        }
    }
}
