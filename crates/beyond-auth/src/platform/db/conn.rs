//! One executor for all stores: a pooled connection or a transaction, with the pooler mode applied.

use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io};

use futures::future::BoxFuture;
use futures::stream::{BoxStream, Stream, StreamExt as _};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnection, PgQueryResult, PgRow, PgStatement, PgTypeInfo, Postgres};
use sqlx::{Connection as _, Either, Execute, Executor, SqlStr};
use tokio::runtime::Handle;
use tokio::time::Sleep;

use super::Pooler;

/// A connection for stores. Hand `&mut *conn` to an sqlx query.
///
/// No statement is waited for longer than [`STATEMENT_DEADLINE`], and the connection goes back to the pool or
/// is given up within [`RETURN_DEADLINE`]: a network that swallows packets must not keep slots of the pool.
pub struct Conn {
    /// `None` only while it is being dropped.
    inner: Option<Inner>,
    /// A transaction has been begun and not ended.
    in_transaction: bool,
    pooler: Pooler,
}

enum Inner {
    /// Belongs to the pool and goes back there.
    Pooled(PoolConnection<Postgres>),
    /// Belongs to whoever opened it.
    Dedicated(Box<PgConnection>),
}

/// Postgres itself ends a statement of ours after 5 s (`statement_timeout`). Past that and some way for the
/// answer, there is nobody on the other end.
const STATEMENT_DEADLINE: Duration = Duration::from_secs(6);
/// sqlx asks a connection whether it is in order before it takes it back: a round trip, and what a dropped
/// request had left unread.
const RETURN_DEADLINE: Duration = Duration::from_secs(1);

impl Conn {
    pub(super) fn pooled(conn: PoolConnection<Postgres>, pooler: Pooler) -> Self {
        Self { inner: Some(Inner::Pooled(conn)), in_transaction: false, pooler }
    }

    pub(super) fn dedicated(conn: PgConnection, pooler: Pooler) -> Self {
        Self { inner: Some(Inner::Dedicated(Box::new(conn))), in_transaction: false, pooler }
    }

    fn raw(&mut self) -> &mut PgConnection {
        match &mut self.inner {
            Some(Inner::Pooled(conn)) => conn,
            Some(Inner::Dedicated(conn)) => conn,
            None => unreachable!("only dropping takes the connection"),
        }
    }

    /// Asks the server whether it is there.
    pub async fn ping(&mut self) -> Result<(), sqlx::Error> {
        within(STATEMENT_DEADLINE, self.raw().ping()).await
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        let (Some(Inner::Pooled(conn)), Ok(runtime)) = (self.inner.take(), Handle::try_current()) else {
            return;
        };
        runtime.spawn(give_back(conn, self.in_transaction));
    }
}

/// Hands a connection back to the pool in order, or closes it and frees its slot.
async fn give_back(mut conn: PoolConnection<Postgres>, in_transaction: bool) {
    if in_transaction && let Err(error) = within(RETURN_DEADLINE, conn.execute("ROLLBACK")).await {
        tracing::warn!(%error, "a database connection is given up");
        // Not dropped as it is: the pool would ask it again, and wait.
        drop(conn.detach());
        return;
    }
    // What dropping would do, but for the time limit.
    if tokio::time::timeout(RETURN_DEADLINE, conn.return_to_pool()).await.is_err() {
        tracing::warn!("a database connection does not answer and is given up");
    }
}

/// Waits that long, then calls it an I/O error: nobody knows whether the statement took effect.
async fn within<T>(
    deadline: Duration,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    tokio::time::timeout(deadline, answer).await.unwrap_or_else(|_| Err(no_answer()))
}

fn no_answer() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the database does not answer"))
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn").field("pooler", &self.pooler).finish_non_exhaustive()
    }
}

/// A transaction. Dropping it rolls back; only [`Tx::commit`] keeps its effects.
#[derive(Debug)]
pub struct Tx {
    conn: Conn,
    name: &'static str,
}

impl Tx {
    pub(super) async fn begin(mut conn: Conn, name: &'static str) -> Result<Self, sqlx::Error> {
        // Noted first: nobody may return from here with a transaction that the pool does not know of.
        conn.in_transaction = true;
        within(STATEMENT_DEADLINE, conn.raw().execute("BEGIN")).await?;
        Ok(Self { conn, name })
    }

    /// Makes the effects durable. An error here means that the outcome is unknown: answer 503.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        let name = self.name;
        self.end("COMMIT")
            .await
            .inspect_err(|error| tracing::warn!(transaction = name, %error, "commit failed"))
    }

    /// Marks a point to come back to. There is one at a time.
    pub async fn mark(&mut self) -> Result<(), sqlx::Error> {
        sqlx::query("SAVEPOINT mark").execute(&mut self.conn).await.map(drop)
    }

    /// Forgets the mark: what was done since stays.
    pub async fn keep(&mut self) -> Result<(), sqlx::Error> {
        sqlx::query("RELEASE SAVEPOINT mark").execute(&mut self.conn).await.map(drop)
    }

    /// Undoes what was done since the mark.
    pub async fn undo(&mut self) -> Result<(), sqlx::Error> {
        sqlx::query("ROLLBACK TO SAVEPOINT mark").execute(&mut self.conn).await.map(drop)
    }

    /// Undoes everything and gives the connection back at once.
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, statement: &'static str) -> Result<(), sqlx::Error> {
        within(STATEMENT_DEADLINE, self.conn.raw().execute(statement)).await?;
        self.conn.in_transaction = false;
        Ok(())
    }
}

impl Deref for Tx {
    type Target = Conn;
    fn deref(&self) -> &Conn {
        &self.conn
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.conn
    }
}

/// Rows of one statement, until its deadline.
struct Bounded<'e, T> {
    rows: BoxStream<'e, Result<T, sqlx::Error>>,
    deadline: Pin<Box<Sleep>>,
}

impl<T> Stream for Bounded<'_, T> {
    type Item = Result<T, sqlx::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.rows.poll_next_unpin(context) {
            Poll::Pending => self.deadline.as_mut().poll(context).map(|()| Some(Err(no_answer()))),
            ready @ Poll::Ready(_) => ready,
        }
    }
}

/// A query that may be asked not to leave a named statement behind.
struct Pooled<E> {
    query: E,
    pooler: Pooler,
}

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for Pooled<E> {
    fn sql(self) -> SqlStr {
        self.query.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.query.statement()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, sqlx::error::BoxDynError> {
        self.query.take_arguments()
    }

    fn persistent(&self) -> bool {
        self.pooler == Pooler::Session && self.query.persistent()
    }
}

impl<'c> Executor<'c> for &'c mut Conn {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let pooler = self.pooler;
        let rows = self.raw().fetch_many(Pooled { query, pooler });
        Box::pin(Bounded { rows, deadline: Box::pin(tokio::time::sleep(STATEMENT_DEADLINE)) })
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let pooler = self.pooler;
        Box::pin(within(STATEMENT_DEADLINE, self.raw().fetch_optional(Pooled { query, pooler })))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        self.raw().prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<sqlx::Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        self.raw().describe(sql)
    }
}
