//! Many rows in one statement: each column is an array, and `unnest` makes rows of them.

use std::borrow::Cow;

use tokio_postgres::{Row, types::ToSql};

use super::{Cell, Session, sound};
use crate::store::StoreError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Whole,
    Text,
    Bytes,
}

impl Kind {
    pub fn sql(self) -> &'static str {
        match self {
            Self::Whole => "BIGINT",
            Self::Text => "TEXT",
            Self::Bytes => "BYTEA",
        }
    }
}

/// Of `cells` as they are written when nothing is known: what may be absent is a number, unless it is one of `bytes`.
pub fn kinds_of<'c>(columns: &'c str, cells: &[Cell<'_>], bytes: &str) -> Vec<(&'c str, Kind)> {
    let kind = |name: &str, cell: &Cell<'_>| match cell {
        _ if name == bytes => Kind::Bytes,
        Cell::Text(_) => Kind::Text,
        Cell::Bytes(_) => Kind::Bytes,
        Cell::Null | Cell::Whole(_) => Kind::Whole,
    };
    let names = columns.split(',').map(str::trim);
    names.zip(cells).map(|(name, cell)| (name, kind(name, cell))).collect()
}

enum Column<'a> {
    Whole(Vec<Option<i64>>),
    Text(Vec<Option<Cow<'a, str>>>),
    Bytes(Vec<Option<&'a [u8]>>),
}

/// `INSERT INTO table (columns) SELECT rows`, and `then`; answers what it returns. All rows have a cell for each column.
pub fn unnest(
    session: &mut Session,
    table: &str,
    columns: &[(&str, Kind)],
    rows: &[Vec<Cell<'_>>],
    then: &str,
) -> Result<Vec<Row>, StoreError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let arrays: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(at, (_, kind))| format!("?{}::{}[]", at + 1, kind.sql()))
        .collect();
    let sql = format!(
        "INSERT INTO {table} ({}) SELECT * FROM unnest({}) {then}",
        names.join(", "),
        arrays.join(", ")
    );
    let made: Vec<Column<'_>> = columns
        .iter()
        .enumerate()
        .map(|(at, (_, kind))| column(*kind, rows, at))
        .collect();
    let values: Vec<&(dyn ToSql + Sync)> = made
        .iter()
        .map(|column| match column {
            Column::Whole(all) => all as &(dyn ToSql + Sync),
            Column::Text(all) => all,
            Column::Bytes(all) => all,
        })
        .collect();
    session.rows(&sql, &values)
}

fn column<'a>(kind: Kind, rows: &[Vec<Cell<'a>>], at: usize) -> Column<'a> {
    let cells = rows.iter().map(|row| row.get(at).copied().unwrap_or(Cell::Null));
    match kind {
        Kind::Whole => Column::Whole(
            cells
                .map(|cell| match cell {
                    Cell::Whole(number) => Some(number),
                    _ => None,
                })
                .collect(),
        ),
        Kind::Text => Column::Text(
            cells
                .map(|cell| match cell {
                    Cell::Text(text) => Some(sound(text)),
                    _ => None,
                })
                .collect(),
        ),
        Kind::Bytes => Column::Bytes(
            cells
                .map(|cell| match cell {
                    Cell::Bytes(bytes) => Some(bytes),
                    _ => None,
                })
                .collect(),
        ),
    }
}
