//! What the data plane remembers of objects at providers, in the order in which it came; of too many the oldest go, of
//! whose objects are and of what was counted each for itself.

use rusqlite::Connection;
use tollgate_config::marks::{MAX_KEPT_MARKS, Mark};

use super::{Store, StoreError};

/// A mark with its place in the order.
pub type Kept = (i64, Mark);

impl Store {
    /// Those behind `after` (0: from the first on), the oldest first, at most so many.
    pub async fn marks(&self, after: i64, most: usize) -> Result<Vec<Kept>, StoreError> {
        self.call(move |c| {
            let mut statement =
                c.prepare_cached("SELECT number, id, tag FROM marks WHERE number > ?1 ORDER BY number LIMIT ?2")?;
            let rows = statement.query_map((after, most as i64), |row| {
                let id: [u8; 16] = row.get(1)?;
                let mark = Mark {
                    id: u128::from_be_bytes(id),
                    tag: row.get(2)?,
                };
                Ok((row.get(0)?, mark))
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    pub async fn count_marks(&self) -> Result<u64, StoreError> {
        self.call(|c| {
            let count: i64 = c.query_row("SELECT count(*) FROM marks", [], |row| row.get(0))?;
            Ok(count.unsigned_abs())
        })
        .await
    }

    /// Keeps `made` and forgets `gone`, all of it or nothing; what is kept already stays where it is.
    pub async fn keep_marks(&self, made: Vec<Mark>, gone: Vec<Mark>) -> Result<(), StoreError> {
        self.call(move |c| {
            let transaction = c.transaction()?;
            {
                let mut forget = transaction.prepare_cached("DELETE FROM marks WHERE id = ?1")?;
                for mark in &gone {
                    forget.execute([mark.id.to_be_bytes()])?;
                }
                let mut keep = transaction.prepare_cached(
                    "INSERT INTO marks (id, tag) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET tag = excluded.tag",
                )?;
                for mark in &made {
                    keep.execute((mark.id.to_be_bytes(), mark.tag))?;
                }
            }
            forget_oldest(&transaction, MAX_KEPT_MARKS)?;
            Ok(transaction.commit()?)
        })
        .await
    }
}

fn forget_oldest(c: &Connection, most: usize) -> rusqlite::Result<()> {
    // Counting reads the whole table: only where so many numbers were given out that there may be too many.
    let numbers: i64 = c.query_row(
        "SELECT coalesce(max(number) - min(number) + 1, 0) FROM marks",
        [],
        |row| row.get(0),
    )?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    if numbers <= most {
        return Ok(());
    }
    // The bit of what was counted is the first of an id.
    for kind in ["id < x'80'", "id >= x'80'"] {
        let count: i64 = c.query_row(&format!("SELECT count(*) FROM marks WHERE {kind}"), [], |row| {
            row.get(0)
        })?;
        let surplus = (count - most).max(0);
        c.execute(
            &format!(
                "DELETE FROM marks WHERE number IN (SELECT number FROM marks WHERE {kind} ORDER BY number LIMIT ?1)"
            ),
            [surplus],
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tollgate_config::marks::COUNTED;

    use super::*;

    fn mark(n: u128) -> Mark {
        Mark {
            id: n << 64,
            tag: n as u16,
        }
    }

    #[tokio::test]
    async fn marks_survive_in_their_order_and_go_when_they_are_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tollgate.db");
        let store = Store::open(&path).unwrap();
        store.keep_marks((0..5).map(mark).collect(), Vec::new()).await.unwrap();
        // Told twice, with another tag, and one that was never there.
        let retagged = Mark { tag: 77, ..mark(1) };
        store
            .keep_marks(vec![mark(0), retagged], vec![mark(3), mark(9)])
            .await
            .unwrap();
        drop(store);
        let store = Store::open(&path).unwrap();
        let first = store.marks(0, 2).await.unwrap();
        let rest = store.marks(first[1].0, 10).await.unwrap();
        let marks: Vec<Mark> = first.into_iter().chain(rest).map(|(_, mark)| mark).collect();
        assert_eq!(marks, [mark(0), retagged, mark(2), mark(4)]);
    }

    #[tokio::test]
    async fn what_was_counted_gives_way_to_no_object() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("tollgate.db")).unwrap();
        let counted = Mark {
            id: COUNTED | 1,
            tag: 0,
        };
        store.keep_marks(vec![counted], vec![]).await.unwrap();
        store.keep_marks((0..10).map(mark).collect(), vec![]).await.unwrap();
        store.call(|c| Ok(forget_oldest(c, 3)?)).await.unwrap();
        let left: Vec<Mark> = store
            .marks(0, 100)
            .await
            .unwrap()
            .into_iter()
            .map(|(_, mark)| mark)
            .collect();
        assert_eq!(left, [counted, mark(7), mark(8), mark(9)]);
    }

    #[tokio::test]
    async fn of_too_many_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("tollgate.db")).unwrap();
        store.keep_marks((0..10).map(mark).collect(), vec![]).await.unwrap();
        store.keep_marks(vec![], vec![mark(4)]).await.unwrap();
        store.call(|c| Ok(forget_oldest(c, 9)?)).await.unwrap();
        assert_eq!(store.marks(0, 100).await.unwrap().len(), 9);
        store.call(|c| Ok(forget_oldest(c, 3)?)).await.unwrap();
        let left: Vec<Mark> = store
            .marks(0, 100)
            .await
            .unwrap()
            .into_iter()
            .map(|(_, mark)| mark)
            .collect();
        assert_eq!(left, [mark(7), mark(8), mark(9)]);
    }
}
