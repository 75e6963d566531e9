//! Plain SQL on a test's database: moves time, looks at what is stored.

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row as _};

use super::TestApp;

/// Runs one statement; says how many rows it touched.
pub async fn run(app: &TestApp, statement: &str) -> u64 {
    let statement = AssertSqlSafe(statement.to_owned());
    sqlx::query(statement).execute(app.running.app.db.pool()).await.unwrap().rows_affected()
}

/// Rows of a query.
pub async fn rows(app: &TestApp, query: &str) -> Vec<PgRow> {
    sqlx::query(AssertSqlSafe(query.to_owned())).fetch_all(app.running.app.db.pool()).await.unwrap()
}

/// The one number of a query such as `SELECT count(*) …`.
pub async fn number(app: &TestApp, query: &str) -> i64 {
    rows(app, query).await[0].get(0)
}
