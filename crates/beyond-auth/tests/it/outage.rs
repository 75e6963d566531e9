//! Postgres goes away while the service runs: nobody is signed out by it, and it heals by itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use beyond_auth::dev::postgres::{Options, Postgres};
use beyond_auth::dev::progress::Silent;
use futures::future::join_all;
use http::Method;
use serde_json::json;

use crate::support::app::{self, ADMIN_SECRET, PASSWORD, Person};
use crate::support::client::{Answer, Http};
use crate::support::cluster::Database;
use crate::support::proxy::{Proxy, Weather};
use crate::support::{TestApp, database};

/// The service is to work again this soon after Postgres does.
const RECOVERY: Duration = Duration::from_secs(20);
/// Nobody waits longer than this for a 503.
const PATIENCE: Duration = Duration::from_secs(20);
/// Nor this, where the network swallows what is sent: only a time limit tells.
const SILENCE_PATIENCE: Duration = Duration::from_secs(30);
/// Connections that silence has cut are only found out by requests that they leave without an answer. After this long
/// none may be left.
const SILENCE_RECOVERY: Duration = Duration::from_secs(30);

/// The service, reaching its database through a network that can fail.
async fn behind_a_proxy() -> (TestApp, Proxy) {
    let database = Arc::new(database().await);
    let proxy = Proxy::to(&database.url).await;
    let mut config = app::config(&database);
    config.database.url = proxy.url(&database.url);
    (TestApp::with(database, config).await, proxy)
}

#[track_caller]
fn assert_unavailable(answer: &Answer) {
    assert_eq!(answer.problem(503), "unavailable");
    let seconds: u64 = answer.header("retry-after").parse().expect("Retry-After in seconds");
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(answer.header("www-authenticate"), "", "no challenge: the credential is not in question");
}

/// Everything that has to be true while the database is away.
async fn assert_out(http: &Http, person: &Person) {
    let began = Instant::now();
    let with_session = http.with_bearer(&person.token);
    let admin = http.with_bearer(ADMIN_SECRET);
    let unknown = "session_018f6f5e7c3a7b2c9d1e0f1a2b3c4d5e_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let credentials = json!({ "method": "password", "email": person.email, "password": PASSWORD });
    let wrong = json!({ "method": "password", "email": person.email, "password": "not the password" });
    let newcomer = json!({ "email": "newcomer@example.com", "password": PASSWORD });
    let cookie = http.request(Method::GET, "/v1/sessions/current");
    let cookie = cookie.header("cookie", format!("beyond_session={}", person.token));
    let unknown = http.with_bearer(unknown);
    let answers = tokio::join!(
        with_session.get("/v1/sessions/current"),
        with_session.get("/v1/users/me"),
        with_session.delete("/v1/sessions/current"),
        unknown.get("/v1/sessions/current"),
        http.send(cookie),
        http.post("/v1/sessions", credentials),
        http.post("/v1/sessions", wrong),
        http.post("/v1/users", newcomer),
        admin.get("/v1/admin/users"),
        http.get("/readyz"),
    );
    let answers: [Answer; 10] = answers.into();
    answers.iter().for_each(assert_unavailable);
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    // What needs no database still answers, also about credentials that cannot be right.
    http.get("/healthz").await.expect(200);
    http.get("/v1/openapi.json").await.expect(200);
    assert_eq!(http.get("/v1/sessions/current").await.problem(401), "missing_credentials");
    assert_eq!(http.with_bearer("session_1").get("/v1/sessions/current").await.problem(401), "invalid_token");
}

/// Waits until a crowd, on both roads to the database (the lanes of verification, the pool), is served to the last
/// request; any refusal on the way is a 503.
async fn assert_recovers(http: &Http, person: &Person, limit: Duration) {
    let began = Instant::now();
    let http = http.with_bearer(&person.token);
    loop {
        let asked = began.elapsed();
        assert!(asked < limit, "not back after {asked:?}");
        let paths = ["/v1/sessions/current", "/v1/sessions"].repeat(15);
        let answers = join_all(paths.into_iter().map(|path| http.get(path))).await;
        if answers.iter().all(|answer| answer.status == 200) {
            return;
        }
        answers.iter().filter(|answer| answer.status != 200).for_each(assert_unavailable);
    }
}

/// More at once than there are connections, on both roads to the database (the lanes of verification, the pool): a
/// slot that is stuck would show each time. On a busy machine a crowd may once have to wait too long for its turn.
async fn assert_every_slot_works(http: &Http, person: &Person) {
    let http = http.with_bearer(&person.token);
    for path in ["/v1/users/me", "/v1/sessions"] {
        let mut refused = 0;
        for _ in 0..5 {
            let answers = join_all((0..60).map(|_| http.get(path))).await;
            refused = answers.iter().filter(|answer| answer.status != 200).count();
            if refused == 0 {
                break;
            }
            answers.iter().filter(|answer| answer.status != 200).for_each(assert_unavailable);
        }
        assert_eq!(refused, 0, "{path}");
    }
    http.get("/readyz").await.expect(200);
}

#[tokio::test]
async fn while_the_server_is_down_every_answer_is_503_and_it_heals_without_a_restart() {
    let folder = folder();
    let home = folder.path().join("postgres");
    let options = || Options { progress: Arc::new(Silent), ..Options::new(&home) };
    let mut postgres = Postgres::start(options()).await.unwrap();
    let database = Arc::new(Database::of_another_server(postgres.url("postgres")));
    let app = TestApp::on(database).await;
    let ada = app.person("ada@example.com").await;

    for round in 0..2 {
        postgres.stop().await;
        assert_out(&app.stranger(), &ada).await;
        postgres = Postgres::start(options()).await.unwrap();
        assert_recovers(&app.http, &ada, RECOVERY).await;
        assert_every_slot_works(&app.http, &ada).await;
        // Jobs have come through it too: the mail of a new person is sent.
        app.person(&format!("after-outage-{round}@example.com")).await;
    }
    postgres.stop().await;
}

#[tokio::test]
async fn a_crowd_during_an_outage_is_turned_away_and_leaves_no_slot_behind() {
    let (app, network) = behind_a_proxy().await;
    let ada = app.person("ada@example.com").await;
    let verify = app.http.with_bearer(&ada.token);

    network.set(Weather::Refusing).await;
    let began = Instant::now();
    for answer in join_all((0..200).map(|_| verify.get("/v1/sessions/current"))).await {
        assert_unavailable(&answer);
    }
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    assert_out(&app.stranger(), &ada).await;

    network.set(Weather::Fine).await;
    assert_recovers(&app.http, &ada, RECOVERY).await;
    assert_every_slot_works(&app.http, &ada).await;
}

#[tokio::test]
async fn lost_packets_are_an_outage_too_and_dead_connections_do_not_stay_in_the_pool() {
    let (app, network) = behind_a_proxy().await;
    let ada = app.person("ada@example.com").await;
    // Every connection of the pool is in use lately, so that none is asked whether it lives.
    assert_every_slot_works(&app.http, &ada).await;
    let verify = app.http.with_bearer(&ada.token);

    network.set(Weather::Silent).await;
    let began = Instant::now();
    let crowd = join_all((0..60).map(|_| verify.get("/v1/sessions/current"))).await;
    crowd.iter().for_each(assert_unavailable);
    assert!(began.elapsed() < SILENCE_PATIENCE, "{:?}", began.elapsed());

    network.set(Weather::Fine).await;
    assert_recovers(&app.http, &ada, SILENCE_RECOVERY).await;
    assert_every_slot_works(&app.http, &ada).await;
}

#[tokio::test]
async fn whoever_walks_away_during_silence_takes_no_slot_along() {
    let (app, network) = behind_a_proxy().await;
    let ada = app.person("ada@example.com").await;
    assert_every_slot_works(&app.http, &ada).await;
    let verify = app.http.with_bearer(&ada.token);

    network.set(Weather::Silent).await;
    // The clients hang up: the service drops the requests in the middle of their statements.
    let crowd = join_all((0..60).map(|_| verify.get("/v1/sessions/current")));
    assert!(tokio::time::timeout(Duration::from_millis(300), crowd).await.is_err());

    network.set(Weather::Fine).await;
    assert_recovers(&app.http, &ada, SILENCE_RECOVERY).await;
    assert_every_slot_works(&app.http, &ada).await;
}

/// A folder that the account Postgres runs under can reach, gone afterwards.
fn folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}
