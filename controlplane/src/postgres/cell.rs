//! A value on its way into a table, of either database, and rows of them as PostgreSQL's COPY takes them.

use std::{borrow::Cow, error::Error};

use bytes::BytesMut;
use rusqlite::types::{ToSqlOutput, ValueRef};
use tokio_postgres::types::{IsNull, ToSql, Type};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    Null,
    Whole(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl From<i64> for Cell<'_> {
    fn from(number: i64) -> Self {
        Self::Whole(number)
    }
}

impl From<Option<i64>> for Cell<'_> {
    fn from(number: Option<i64>) -> Self {
        number.map_or(Self::Null, Self::Whole)
    }
}

impl From<bool> for Cell<'_> {
    fn from(is: bool) -> Self {
        Self::Whole(i64::from(is))
    }
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Cell<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl rusqlite::ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match *self {
            Self::Null => ValueRef::Null,
            Self::Whole(number) => ValueRef::Integer(number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Only of columns of its own kind: whole numbers are BIGINT, all of them.
impl ToSql for Cell<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match *self {
            Self::Null => Ok(IsNull::Yes),
            Self::Whole(number) => number.to_sql(kind, out),
            Self::Text(text) => sound(text).to_sql(kind, out),
            Self::Bytes(bytes) => bytes.to_sql(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        [Type::INT8, Type::TEXT, Type::VARCHAR, Type::BYTEA].contains(kind)
    }

    tokio_postgres::types::to_sql_checked!();
}

/// PostgreSQL's texts have no zero bytes; clients' tags may.
pub fn sound(text: &str) -> Cow<'_, str> {
    match text.as_bytes().contains(&0) {
        true => Cow::Owned(text.replace('\0', "\u{fffd}")),
        false => Cow::Borrowed(text),
    }
}

/// Rows in the binary form of COPY (PostgreSQL's manual, COPY, "Binary Format").
pub struct CopyRows {
    bytes: BytesMut,
    rows: usize,
}

impl Default for CopyRows {
    fn default() -> Self {
        let mut bytes = BytesMut::new();
        bytes.extend_from_slice(b"PGCOPY\n\xff\r\n\0");
        // No flags, and no more of a head.
        bytes.extend_from_slice(&[0; 8]);
        Self { bytes, rows: 0 }
    }
}

impl CopyRows {
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    pub fn push<'a>(&mut self, count: usize, cells: impl Iterator<Item = Cell<'a>>) {
        self.rows += 1;
        self.bytes.extend_from_slice(&(count as i16).to_be_bytes());
        for cell in cells {
            match cell {
                Cell::Null => self.bytes.extend_from_slice(&(-1i32).to_be_bytes()),
                Cell::Whole(number) => self.field(&number.to_be_bytes()),
                Cell::Text(text) => self.field(sound(text).as_bytes()),
                Cell::Bytes(bytes) => self.field(bytes),
            }
        }
    }

    /// No field is near what 31 bits hold: records are of a few KiB.
    fn field(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
        self.bytes.extend_from_slice(bytes);
    }

    pub fn finish(mut self) -> BytesMut {
        self.bytes.extend_from_slice(&(-1i16).to_be_bytes());
        self.bytes
    }
}
