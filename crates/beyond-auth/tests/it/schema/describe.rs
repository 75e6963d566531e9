//! The schema as text, read from the catalog alone.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sqlx::{PgConnection, Row as _};

/// Everything an application can rely on, as Markdown: the same for databases that are the same.
/// `notes` are meanings by `table.column`, for columns without a comment.
pub async fn describe(connection: &mut PgConnection, notes: &BTreeMap<String, String>) -> String {
    let mut text = "\
<!-- Generated from the database and the migrations; UPDATE=1 cargo test -p beyond-auth --test it drift -->

# Schema `auth`

A public contract: migrations only add, and no column is removed or given another meaning. Applications may join
these tables, read them and hold foreign keys to `auth.users (id)`. They should not write to them: what the service
promises (audit, revocation, mail) happens in the service. Secrets are here as hashes or sealed.
"
    .to_owned();
    let tables = sqlx::query(
        "SELECT oid, relname::text, relkind::text, coalesce(obj_description(oid, 'pg_class'), '')
         FROM pg_class WHERE relnamespace = 'auth'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
           AND relname <> '_sqlx_migrations'
         ORDER BY relname",
    )
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    for table in tables {
        let oid: sqlx::postgres::types::Oid = table.get(0);
        let (name, kind, comment): (String, String, String) = (table.get(1), table.get(2), table.get(3));
        let view = if kind == "v" || kind == "m" { " (view)" } else { "" };
        write!(text, "\n## `auth.{name}`{view}\n\n{comment}\n\n").unwrap();
        columns(connection, oid, &name, notes, &mut text).await;
        list(connection, oid, "Indexes", INDEXES, &mut text).await;
        list(connection, oid, "Constraints", CONSTRAINTS, &mut text).await;
        list(connection, oid, "Triggers", TRIGGERS, &mut text).await;
    }
    functions(connection, &mut text).await;
    text.push_str("\n`auth._sqlx_migrations` keeps which migrations were applied.\n");
    text
}

async fn columns(
    connection: &mut PgConnection,
    oid: sqlx::postgres::types::Oid,
    table: &str,
    notes: &BTreeMap<String, String>,
    text: &mut String,
) {
    let rows = sqlx::query(
        "SELECT attname::text, format_type(atttypid, atttypmod), attnotnull,
                coalesce(pg_get_expr(adbin, adrelid), ''), coalesce(col_description(attrelid, attnum), '')
         FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
         WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
    )
    .bind(oid)
    .fetch_all(connection)
    .await
    .unwrap();
    text.push_str("| Column | Type | Null | Default | Meaning |\n| --- | --- | --- | --- | --- |\n");
    for row in rows {
        let (name, kind): (String, String) = (row.get(0), row.get(1));
        let (required, default, comment): (bool, String, String) = (row.get(2), row.get(3), row.get(4));
        let meaning = Some(comment).filter(|comment| !comment.is_empty());
        let meaning = meaning.or_else(|| notes.get(&format!("{table}.{name}")).cloned()).unwrap_or_default();
        let null = if required { "no" } else { "yes" };
        let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
        writeln!(text, "| `{name}` | {kind} | {null} | {default} | {} |", meaning.replace('|', "\\|"))
            .unwrap();
    }
}

const INDEXES: &str = "
    SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE indrelid = $1 ORDER BY relname";
/// Without NOT NULL, which newer servers list here too and the columns already say.
const CONSTRAINTS: &str = "
    SELECT conname || ': ' || pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conrelid = $1 AND contype NOT IN ('n', 't') ORDER BY conname";
const TRIGGERS: &str = "
    SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = $1 AND NOT tgisinternal ORDER BY tgname";

async fn list(
    connection: &mut PgConnection,
    oid: sqlx::postgres::types::Oid,
    heading: &str,
    sql: &'static str,
    text: &mut String,
) {
    let rows: Vec<String> = sqlx::query_scalar(sql).bind(oid).fetch_all(connection).await.unwrap();
    if rows.is_empty() {
        return;
    }
    write!(text, "\n{heading}:\n\n").unwrap();
    for row in rows {
        writeln!(text, "- `{}`", row.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap();
    }
}

async fn functions(connection: &mut PgConnection, text: &mut String) {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT 'auth.' || proname || '(' || pg_get_function_arguments(oid) || ') returns ' || pg_get_function_result(oid),
                coalesce(obj_description(oid, 'pg_proc'), '')
         FROM pg_proc WHERE pronamespace = 'auth'::regnamespace ORDER BY 1",
    )
    .fetch_all(connection)
    .await
    .unwrap();
    if rows.is_empty() {
        return;
    }
    text.push_str("\n## Functions\n\n");
    for (signature, comment) in rows {
        writeln!(text, "- `{signature}`: {comment}").unwrap();
    }
}
