//! How a cell becomes free and another's, in every order in which a few threads may take the steps: a model checker (loom) runs
//! what the shards and the sweep run.

#![allow(dead_code, reason = "the model has no use for all of it")]

/// What `owner` and `lane` are made of, watched.
mod atomic {
    pub use loom::sync::atomic::{AtomicU64, Ordering};
}

#[path = "../src/limits/lane.rs"]
mod lane;
#[path = "../src/limits/owner.rs"]
mod owner;

use atomic::{AtomicU64, Ordering};
use lane::Lane;
use loom::{sync::Arc, thread};
use owner::{Owner, Whose};

const OLD: u64 = 2;
const NEW: u64 = 3;
/// Of each limit.
const MOST: u64 = 1;

#[derive(Default)]
struct Cell {
    id: AtomicU64,
    taken: AtomicU64,
    returned: AtomicU64,
    tag: AtomicU64,
    /// It was used since: what the table notes in minutes.
    worth: AtomicU64,
}

impl Cell {
    fn lane(&self) -> Lane<'_> {
        Lane {
            taken: &self.taken,
            returned: &self.returned,
            tag: &self.tag,
        }
    }

    /// What a shard does to have something of the limit, where the cell is found: and what it then notes.
    fn take(&self) -> u64 {
        let granted = u64::from(self.lane().take(1, MOST).is_ok());
        self.worth.store(1, Ordering::Relaxed);
        granted
    }
}

/// The table: a cell, and one behind it. Each is claimed by one thread of the model alone, as the table's own turn sees to.
type Table = Arc<[Cell; 2]>;

fn take(table: &Table, id: u64, claims: bool) -> u64 {
    for cell in table.iter() {
        if Owner(&cell.id).of(id) == Whose::Own {
            return cell.take();
        }
    }
    let free = |cell: &&Cell| matches!(Owner(&cell.id).of(id), Whose::Freed | Whose::Nobodys);
    match table.iter().find(free).filter(|_| claims) {
        Some(cell) if Owner(&cell.id).claim(id) => cell.take(),
        _ => 0,
    }
}

fn model(orders: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(orders);
}

/// The second step of a sweep.
fn clear(cell: &Cell) -> bool {
    let owner = Owner(&cell.id);
    let is_cleared = cell.worth.load(Ordering::Acquire) == 0 && owner.clear();
    if is_cleared {
        for word in [&cell.taken, &cell.returned, &cell.tag] {
            word.store(0, Ordering::Relaxed);
        }
        owner.free();
    }
    is_cleared
}

#[test]
fn who_wants_a_marked_cell_has_it_and_never_twice() {
    model(|| {
        let table = Table::default();
        assert!(Owner(&table[0].id).claim(OLD));
        // At work when the cell is marked: a shard's turn, which ends before the second step.
        let (early, late) = (Arc::clone(&table), Arc::clone(&table));
        let early = thread::spawn(move || take(&early, OLD, false));
        Owner(&table[0].id).mark();
        // And another that begins behind the mark, and may end after all of it.
        let late = thread::spawn(move || take(&late, OLD, true));
        let early = early.join().expect("it ends");
        clear(&table[0]);
        let granted = early + late.join().expect("it ends");
        assert_eq!(granted, MOST, "one balance, whichever cell it is in");
    });
}

#[test]
fn a_freed_cell_is_its_next_owners_alone() {
    model(|| {
        let table = Table::default();
        assert!(Owner(&table[0].id).claim(OLD));
        table[0].lane().add(1);
        Owner(&table[0].id).mark();
        let other = Arc::clone(&table);
        // It looks for the old one's balance alone, as an answer does that settles.
        let late = thread::spawn(move || match Owner(&other[0].id).of(OLD) {
            Whose::Own => other[0].take(),
            _ => 0,
        });
        let is_cleared = clear(&table[0]);
        if is_cleared {
            assert_eq!(take(&table, NEW, true), 1, "nothing of the old one is left");
            assert_eq!(table[0].lane().used(), 1);
        }
        let granted = late.join().expect("it ends");
        assert!(granted == 0, "the old one was used up, or is gone");
        if is_cleared {
            assert_eq!(table[0].lane().used(), 1, "nobody else has touched it");
        }
    });
}
