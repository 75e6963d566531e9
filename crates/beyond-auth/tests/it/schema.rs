//! The schema as a public contract: described, additive, without rights for everybody.

mod describe;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use beyond_auth::platform::db::migrate;
use secrecy::ExposeSecret as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use self::describe::describe;
use crate::support::cluster::{self, Database};
use crate::support::golden::agree;
use crate::support::{database, database_config};

async fn connect(database: &Database) -> PgConnection {
    PgConnection::connect(database.url.expose_secret()).await.unwrap()
}

/// The migrations of this build in their order.
fn migrations() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut found: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    found.sort();
    found
}

async fn texts(connection: &mut PgConnection, sql: &str) -> Vec<String> {
    sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_all(connection)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// What the migrations say above a column, by `table.column`: the meaning of those without a comment in the
/// database.
fn notes(migrations: &[(String, String)]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (_, sql) in migrations {
        let (mut table, mut said) = (None, Vec::new());
        for line in sql.lines() {
            let words = line.trim();
            let named = ["CREATE TABLE auth.", "ALTER TABLE auth."]
                .iter()
                .find_map(|begin| words.strip_prefix(begin));
            if let Some(name) = named {
                table = name.split(|c: char| !c.is_alphanumeric() && c != '_').next();
                said.clear();
            } else if let Some(comment) = words.strip_prefix("-- ") {
                said.push(comment);
            } else if let (Some(table), false) = (table, said.is_empty()) {
                let column =
                    words.trim_start_matches("ADD COLUMN ").split_whitespace().next().unwrap_or_default();
                found.insert(format!("{table}.{column}"), said.join(" "));
                said.clear();
            }
            if words.ends_with(';') {
                table = None;
            }
        }
    }
    found
}

/// Every column of schema `auth` with its type, and whether a row may leave it out.
async fn columns(connection: &mut PgConnection) -> BTreeMap<String, String> {
    let sql = "
        SELECT relname || '.' || attname || ' ' || format_type(atttypid, atttypmod)
               || CASE WHEN attnotnull AND NOT atthasdef THEN ' required' ELSE '' END
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
        WHERE relnamespace = to_regnamespace('auth') AND relkind IN ('r', 'p', 'v') AND attnum > 0 AND NOT attisdropped";
    let rows = texts(connection, sql).await;
    rows.into_iter()
        .map(|row| row.split_once(' ').map(|(name, kind)| (name.to_owned(), kind.to_owned())).unwrap())
        .collect()
}

#[tokio::test]
async fn the_document_of_the_schema_has_not_drifted_from_the_database() {
    let database = database().await;
    let notes = notes(&migrations());
    agree("docs/schema.md", &describe(&mut connect(&database).await, &notes).await);
}

#[tokio::test]
async fn a_database_migrated_step_by_step_equals_a_fresh_one() {
    let fresh = cluster::server().await.create_empty_database().await;
    migrate::run(&database_config(fresh.url.clone()), false).await.unwrap();
    let stepped = cluster::server().await.create_empty_database().await;
    for (name, sql) in migrations() {
        // Another connection each, as by one release after the other.
        let mut connection = connect(&stepped).await;
        let sql = format!("CREATE SCHEMA IF NOT EXISTS auth; SET search_path = pg_catalog; {sql}");
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let notes = BTreeMap::new();
    let fresh = describe(&mut connect(&fresh).await, &notes).await;
    assert_eq!(fresh, describe(&mut connect(&stepped).await, &notes).await);
}

#[tokio::test]
async fn migrations_only_add_and_the_version_before_can_still_write() {
    let database = cluster::server().await.create_empty_database().await;
    let mut connection = connect(&database).await;
    sqlx::raw_sql("CREATE SCHEMA auth").execute(&mut connection).await.unwrap();
    let mut before = BTreeMap::new();
    for (name, sql) in migrations() {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        let after = columns(&mut connection).await;
        let tables: BTreeSet<&str> =
            before.keys().filter_map(|column: &String| column.split('.').next()).collect();
        for (column, kind) in &before {
            let now = after.get(column).unwrap_or_else(|| panic!("{name} removes {column}"));
            // An older version leaves out what it does not know: a demand may be dropped, never raised.
            assert!(
                now == kind || *kind == format!("{now} required"),
                "{name} makes {column} {now}, was {kind}"
            );
        }
        for (column, kind) in &after {
            let of_old_table = tables.contains(column.split('.').next().unwrap());
            let is_new = !before.contains_key(column);
            assert!(
                !(of_old_table && is_new && kind.ends_with(" required")),
                "{name} adds {column}, which the version before cannot fill: give it a default or let it be null"
            );
        }
        before = after;
    }
}

#[tokio::test]
async fn migrations_are_numbered_once_and_speak_of_schema_auth_alone() {
    let mut numbers = BTreeSet::new();
    for (name, sql) in migrations() {
        let number: u32 = name.split('_').next().unwrap().parse().unwrap();
        assert!(numbers.insert(number), "{name}: its number is taken");
        assert!(sql.starts_with("-- "), "{name} begins with what it is for");
        for statement in
            ["CREATE TABLE ", "ALTER TABLE ", "INSERT INTO ", "CREATE VIEW ", "COMMENT ON TABLE ", "UPDATE "]
        {
            for (at, _) in sql.match_indices(statement) {
                let object = sql[at + statement.len()..]
                    .trim_start_matches("IF NOT EXISTS ")
                    .split_whitespace()
                    .next()
                    .unwrap();
                let words = ["SET", "ON", "OF"].contains(&object);
                assert!(words || object.starts_with("auth."), "{name}: {statement}{object} is not qualified");
            }
        }
        for word in ["search_path =", "CREATE EXTENSION", "DROP COLUMN", "DROP TABLE", "RENAME "] {
            let allowed = word == "search_path =" && sql.contains("SET search_path = pg_catalog");
            assert!(!sql.contains(word) || allowed, "{name}: {word}");
        }
    }
}

#[tokio::test]
async fn every_table_and_view_says_what_it_is() {
    let database = database().await;
    let silent = texts(
        &mut connect(&database).await,
        "SELECT relname::text FROM pg_class
         WHERE relnamespace = 'auth'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
           AND obj_description(oid, 'pg_class') IS NULL AND relname <> '_sqlx_migrations'",
    )
    .await;
    assert_eq!(silent, Vec::<String>::new(), "COMMENT ON is missing");
}

#[tokio::test]
async fn nothing_is_granted_to_everybody() {
    let database = database().await;
    let granted = texts(
        &mut connect(&database).await,
        "SELECT what || ' ' || privilege_type FROM (
             SELECT 'schema ' || nspname AS what, coalesce(nspacl, acldefault('n', nspowner)) AS acl
             FROM pg_namespace WHERE nspname = 'auth'
             UNION ALL
             SELECT 'relation ' || relname, coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", relowner))
             FROM pg_class WHERE relnamespace = 'auth'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')
             UNION ALL
             SELECT 'function ' || proname, coalesce(proacl, acldefault('f', proowner))
             FROM pg_proc WHERE pronamespace = 'auth'::regnamespace
             UNION ALL
             SELECT 'column ' || attname, attacl FROM pg_attribute
             WHERE attacl IS NOT NULL AND attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'auth'::regnamespace)
         ) AS objects, aclexplode(acl) WHERE grantee = 0",
    )
    .await;
    assert_eq!(granted, Vec::<String>::new());
}

#[tokio::test]
async fn no_function_relies_on_the_search_path_of_who_calls_it() {
    let database = database().await;
    let mut connection = connect(&database).await;
    // Bodies that are parsed once (PostgreSQL 14, `BEGIN ATOMIC` or `RETURN`) hold objects, not names.
    let trusting = texts(
        &mut connection,
        "SELECT proname::text FROM pg_proc
         WHERE pronamespace = 'auth'::regnamespace AND prosqlbody IS NULL
           AND NOT EXISTS (SELECT FROM unnest(proconfig) AS setting WHERE setting LIKE 'search_path=%')",
    )
    .await;
    assert_eq!(trusting, Vec::<String>::new(), "give it SET search_path = pg_catalog");
    let foreign = texts(
        &mut connection,
        "SELECT tgname::text FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid JOIN pg_class ON pg_class.oid = tgrelid
         WHERE relnamespace = 'auth'::regnamespace AND NOT tgisinternal AND pronamespace <> 'auth'::regnamespace",
    )
    .await;
    assert_eq!(foreign, Vec::<String>::new(), "a trigger of ours runs somebody else's function");
}

#[tokio::test]
async fn every_foreign_key_has_an_index_to_delete_by() {
    let database = database().await;
    let slow = texts(
        &mut connect(&database).await,
        "SELECT conrelid::regclass::text || ' ' || conname FROM pg_constraint
         WHERE contype = 'f' AND connamespace = 'auth'::regnamespace
           AND NOT EXISTS (SELECT FROM pg_index
                           WHERE indrelid = conrelid AND indkey[0] = conkey[1])",
    )
    .await;
    assert_eq!(slow, Vec::<String>::new(), "deleting what these point at reads whole tables");
}
