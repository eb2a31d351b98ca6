//! A session with PostgreSQL, for threads that may wait: each wait has a bound, and a session that failed is left. Knows
//! no table.

mod bulk;
mod cell;
pub mod tls;
mod words;

use std::{collections::BTreeMap, error::Error as _, future::Future, ops::ControlFlow, time::Duration};

use futures_util::{SinkExt, TryStreamExt};
use tokio::{runtime::Runtime, time::timeout};
use tokio_postgres::{Client, Config, NoTls, Row, Statement, config::SslMode, error::SqlState, types::ToSql};
use tollgate_config::document::{Postgres, PostgresTls};

use crate::{store::StoreError, truth};

pub use bulk::{Kind, kinds_of, unnest};
pub use cell::{Cell, CopyRows, sound};
pub use words::translated;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For one answer of the server, and for the next row of one.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// The server gives up before we do, so that it holds no lock for somebody who has left.
const STATEMENT_TIMEOUT_MS: u64 = 50_000;
/// The same for what is known to take its time: a period priced anew, an index that is made.
const PATIENT_ANSWER_TIMEOUT: Duration = Duration::from_secs(900);
const PATIENT_STATEMENT_TIMEOUT_MS: u64 = 880_000;
/// Peers that are gone without a word are noticed after this.
const USER_TIMEOUT: Duration = Duration::from_secs(20);
/// Statements that stay prepared; questions have as many as there are sets of dimensions.
const MAX_PREPARED: usize = 64;
/// What is sent at once.
const COPY_CHUNK_BYTES: usize = 256 * 1024;

/// What one control plane at a time does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alone {
    /// Tables are made, and days.
    Tables = 1,
    /// What is there once whoever sees it is written: batches, adjustments.
    Once = 2,
    /// An index is made, as long as the session lasts.
    Index = 3,
}

/// Of advisory locks, beside whatever else uses the database: `toll` in ASCII.
const LOCK_CLASS: i32 = 0x746f_6c6c;

pub struct Session {
    client: Client,
    /// By what the ledger calls them.
    prepared: BTreeMap<String, Statement>,
    driver: Driver,
    answer_timeout: Duration,
    /// Something failed in a way that leaves its state unknown.
    broken: bool,
}

impl Session {
    pub fn connect(place: &Postgres) -> Result<Self, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| StoreError::Away(format!("no connection can be made: {error}")))?;
        let connected = runtime.block_on(async { timeout(CONNECT_TIMEOUT, client(place)).await });
        // What is begun of a connection ends with it.
        let driver = Driver(Some(runtime));
        let silent = |_| away(place, &format!("no answer in {} s", CONNECT_TIMEOUT.as_secs()));
        let client = connected.map_err(silent)??;
        let mut session = Self {
            client,
            prepared: BTreeMap::new(),
            driver,
            answer_timeout: ANSWER_TIMEOUT,
            broken: false,
        };
        session.run(&format!(
            "SET search_path TO \"{}\"; SET statement_timeout = {STATEMENT_TIMEOUT_MS}; SET lock_timeout = 0",
            place.schema
        ))?;
        Ok(session)
    }

    /// Good for another statement?
    pub fn is_usable(&self) -> bool {
        !self.broken && !self.client.is_closed()
    }

    /// Does it still answer, as soon as it would be connected? One that nobody asked for a while may be gone without a word.
    pub fn answers(&mut self) -> bool {
        let Self { client, driver, .. } = self;
        let answered = driver.wait_for(CONNECT_TIMEOUT, client.batch_execute(""));
        self.noted(answered).is_ok()
    }

    /// From now on statements may take minutes.
    pub fn be_patient(&mut self) -> Result<(), StoreError> {
        self.run(&format!("SET statement_timeout = {PATIENT_STATEMENT_TIMEOUT_MS}"))?;
        self.answer_timeout = PATIENT_ANSWER_TIMEOUT;
        Ok(())
    }

    pub fn be_usual(&mut self) -> Result<(), StoreError> {
        self.answer_timeout = ANSWER_TIMEOUT;
        self.run(&format!("SET statement_timeout = {STATEMENT_TIMEOUT_MS}"))
    }

    /// Statements without values, one or several.
    pub fn run(&mut self, sql: &str) -> Result<(), StoreError> {
        let longest = self.answer_timeout;
        let Self { client, driver, .. } = self;
        let ran = driver.wait_for(longest, client.batch_execute(sql));
        self.noted(ran)
    }

    /// How many rows it touched.
    pub fn execute(&mut self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<u64, StoreError> {
        let statement = self.prepare(sql)?;
        let longest = self.answer_timeout;
        let Self { client, driver, .. } = self;
        let executed = driver.wait_for(longest, client.execute(&statement, values));
        self.noted(executed)
    }

    pub fn rows(&mut self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, StoreError> {
        let statement = self.prepare(sql)?;
        let longest = self.answer_timeout;
        let Self { client, driver, .. } = self;
        let rows = driver.wait_for(longest, client.query(&statement, values));
        self.noted(rows)
    }

    pub fn first(&mut self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, values)?.into_iter().next())
    }

    /// Until the transaction ends.
    pub fn lock(&mut self, what: Alone) -> Result<(), StoreError> {
        self.run(&format!("SELECT pg_advisory_xact_lock({LOCK_CLASS}, {})", what as i32))
    }

    /// Until the session ends, or it is no longer; false: another session is.
    pub fn try_alone(&mut self, what: Alone) -> Result<bool, StoreError> {
        let sql = format!("SELECT pg_try_advisory_lock({LOCK_CLASS}, {})", what as i32);
        let row = self.first(&sql, &[])?;
        Ok(row.and_then(|row| row.try_get(0).ok()).unwrap_or(false))
    }

    pub fn no_longer_alone(&mut self, what: Alone) -> Result<(), StoreError> {
        self.run(&format!("SELECT pg_advisory_unlock({LOCK_CLASS}, {})", what as i32))
    }

    /// Asked of the catalogue itself: what a session knows by name may be older than a lock that it waited for.
    pub fn has_table(&mut self, schema: &str, table: &str) -> Result<bool, StoreError> {
        const TABLE: &str = "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ?1 \
             AND c.relname = ?2";
        Ok(self.first(TABLE, &[&schema, &table])?.is_some())
    }

    /// Where it is missing: whoever may not make one may use what is there.
    pub fn make_schema(&mut self, schema: &str) -> Result<(), StoreError> {
        match self.first("SELECT 1 FROM pg_namespace WHERE nspname = ?1", &[&schema])? {
            Some(_) => Ok(()),
            None => self.run(&format!("CREATE SCHEMA \"{schema}\"")),
        }
    }

    /// Row by row as they come, until `each` has enough.
    pub fn each(
        &mut self,
        sql: &str,
        values: &[i64],
        each: &mut dyn FnMut(&Row) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let statement = self.prepare(sql)?;
        let longest = self.answer_timeout;
        let Self { client, driver, .. } = self;
        let rows = driver.wait_for(longest, client.query_raw(&statement, values));
        let mut rows = std::pin::pin!(self.noted(rows)?);
        loop {
            let next = self.driver.wait_for(longest, rows.try_next());
            let Some(row) = self.noted(next)? else { return Ok(()) };
            if each(&row)?.is_break() {
                return Ok(());
            }
        }
    }

    /// Rows into a table, many at once.
    pub fn copy(&mut self, sql: &str, rows: CopyRows) -> Result<(), StoreError> {
        let statement = self.prepare(sql)?;
        let mut bytes = rows.finish();
        let Self { client, driver, .. } = self;
        let copied = driver.wait(async {
            let mut sink = std::pin::pin!(client.copy_in(&statement).await?);
            while !bytes.is_empty() {
                let chunk = bytes.split_to(bytes.len().min(COPY_CHUNK_BYTES));
                sink.send(chunk).await?;
            }
            sink.finish().await
        });
        self.noted(copied).map(drop)
    }

    /// What was begun is not to be.
    pub fn rollback(&mut self) {
        if self.is_usable() && self.run("ROLLBACK").is_err() {
            self.broken = true;
        }
    }

    fn prepare(&mut self, sql: &str) -> Result<Statement, StoreError> {
        if let Some(statement) = self.prepared.get(sql) {
            return Ok(statement.clone());
        }
        if self.prepared.len() == MAX_PREPARED {
            self.prepared.clear();
        }
        let Self { client, driver, .. } = self;
        let text = translated(sql);
        let statement = driver.wait(client.prepare(&text));
        let statement = self.noted(statement)?;
        self.prepared.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    fn noted<T>(&mut self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        self.broken |= matches!(outcome, Err(StoreError::Away(_)));
        outcome
    }
}

/// Drives the connection while somebody waits.
struct Driver(Option<Runtime>);

impl Driver {
    fn wait<T>(&self, answer: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, StoreError> {
        self.wait_for(ANSWER_TIMEOUT, answer)
    }

    fn wait_for<T>(
        &self,
        longest: Duration,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, StoreError> {
        let Some(runtime) = &self.0 else {
            return Err(StoreError::Away("the session with PostgreSQL is over".to_owned()));
        };
        match runtime.block_on(async { timeout(longest, answer).await }) {
            Ok(answered) => answered.map_err(|error| refused(&error)),
            Err(_) => Err(StoreError::Away(format!(
                "PostgreSQL gave no answer in {} s",
                longest.as_secs()
            ))),
        }
    }
}

impl Drop for Driver {
    /// A session may end where nobody may wait for its runtime.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

async fn client(place: &Postgres) -> Result<Client, StoreError> {
    let mut config = Config::new();
    config
        .user(&place.user)
        .dbname(&place.name)
        .port(place.port)
        .application_name("tollgate")
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_user_timeout(USER_TIMEOUT)
        .keepalives_idle(USER_TIMEOUT);
    match place.is_local() {
        true => config.host_path(&place.host),
        false => config.host(&place.host),
    };
    if let Some(reference) = &place.password {
        let password = truth::read(reference);
        config.password(password.map_err(|error| away(place, &format!("its password cannot be read: {error}")))?);
    }
    match &place.tls {
        PostgresTls::Off => {
            let connected = config.ssl_mode(SslMode::Disable).connect(NoTls).await;
            let (client, connection) = connected.map_err(|error| unconnected(place, &error))?;
            tokio::spawn(connection);
            Ok(client)
        }
        PostgresTls::Verified(tls) => {
            let tls = tls::Tls::new(tls, &place.host).map_err(|why| away(place, &why))?;
            let connected = config.ssl_mode(SslMode::Require).connect(tls).await;
            let (client, connection) = connected.map_err(|error| unconnected(place, &error))?;
            tokio::spawn(connection);
            Ok(client)
        }
    }
}

/// As status and events name it; no secret is in it.
pub fn named(place: &Postgres) -> String {
    format!("{}:{}/{}", place.host, place.port, place.name)
}

fn away(place: &Postgres, why: &str) -> StoreError {
    StoreError::Away(format!("PostgreSQL at {}: {why}", named(place)))
}

/// Whatever hinders a connection passes, or is mended, without us.
fn unconnected(place: &Postgres, error: &tokio_postgres::Error) -> StoreError {
    away(place, &told(error))
}

fn refused(error: &tokio_postgres::Error) -> StoreError {
    let text = told(error);
    let Some(code) = error.code() else {
        return match error.is_closed() || error.source().is_some_and(|source| source.is::<std::io::Error>()) {
            true => StoreError::Away(format!("PostgreSQL: {text}")),
            false => StoreError::Postgres(text),
        };
    };
    // Classes 57P (the operator ends it) and 08 (no connection); and a transaction that may be done again as it is.
    let is_away = code.code().starts_with("57P") || code.code().starts_with("08")
        // It took longer than it may: whether it is done is known, and when it can be is not.
        || *code == SqlState::QUERY_CANCELED;
    let is_full = [
        SqlState::DISK_FULL,
        SqlState::OUT_OF_MEMORY,
        SqlState::TOO_MANY_CONNECTIONS,
    ]
    .contains(code)
        || *code == SqlState::READ_ONLY_SQL_TRANSACTION;
    match (is_away, is_full) {
        (true, _) => StoreError::Away(format!("PostgreSQL: {text}")),
        (_, true) => StoreError::Full(format!("PostgreSQL: {text}")),
        _ if [SqlState::T_R_DEADLOCK_DETECTED, SqlState::T_R_SERIALIZATION_FAILURE].contains(code) => {
            StoreError::Overtaken
        }
        _ => StoreError::Postgres(text),
    }
}

/// An error with its causes: what it says by itself is `db error`.
fn told(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return format!("{} ({})", said.message(), said.code().code());
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
