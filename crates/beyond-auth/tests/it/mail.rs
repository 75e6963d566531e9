//! Mail through a real SMTP server process: privacy of the connection, outages, crashes, refusals.
//!
//! Every test is a deployment of its own, so that one database serves them all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use beyond_auth::platform::db::{Conn, DatabaseConfig, Db};
use beyond_auth::platform::ids::OutboxId;
use beyond_auth::platform::mail::memory::MemoryTransport;
use beyond_auth::platform::mail::outbox::{self, Claimed, Composed, Destination, NewMail, Outbox};
use beyond_auth::platform::mail::render::Templates;
use beyond_auth::platform::mail::smtp::SmtpTransport;
use beyond_auth::platform::mail::worker::{Compose, ComposeError, Composers, Schedule, Worker};
use beyond_auth::platform::mail::{Mail, SendError, Transport};
use futures::future::BoxFuture;
use serde_json::json;
use sqlx::Row as _;
use tokio_util::sync::CancellationToken;

use crate::support;
use crate::support::smtp::{Mode, Options, SmtpServer};

const FAST: Schedule = Schedule {
    parallel: 4,
    per_mail: Duration::from_secs(2),
    lease: Duration::from_secs(3),
    first_retry: Duration::from_millis(50),
    longest_retry: Duration::from_millis(200),
    give_up_after: Duration::from_hours(24),
};

/// Mints a new code at each attempt, as a real composer does.
struct Codes(AtomicU32);

impl Compose for Codes {
    fn compose<'a>(
        &'a self,
        _: &'a mut Conn,
        mail: &'a Claimed,
    ) -> BoxFuture<'a, Result<Option<Composed>, ComposeError>> {
        Box::pin(async move {
            let Destination::Address(to) = &mail.destination else { return Ok(None) };
            if mail.payload["gone"] == true {
                return Ok(None);
            }
            let code = self.0.fetch_add(1, Ordering::Relaxed).to_string();
            let link = format!("https://auth.example.org/verify-email#token=ev_{code}");
            let context = json!({ "code": code, "link": link, "hours": 24 });
            Ok(Some(Composed { to: to.clone(), template: "verify_email", context }))
        })
    }
}

/// A transport that takes a mail and never comes back.
struct Abyss(tokio::sync::Notify);

impl Transport for Abyss {
    fn send<'a>(&'a self, _: &'a Mail) -> BoxFuture<'a, Result<(), SendError>> {
        self.0.notify_one();
        Box::pin(std::future::pending())
    }
}

/// A deployment: its outbox and whatever workers a test gives it.
struct Deployment {
    db: Db,
    outbox: Outbox,
}

impl Deployment {
    async fn new() -> Self {
        let url = format!("https://auth-{}.example.org", uuid::Uuid::now_v7().simple());
        Self {
            db: Db::new(&support::shared_database_config().await).unwrap(),
            outbox: Outbox::new(&url.parse().unwrap()),
        }
    }

    fn worker(&self, transport: Arc<dyn Transport>) -> Worker {
        Worker {
            db: self.db.clone(),
            outbox: self.outbox.clone(),
            transport,
            templates: Arc::new(Templates::load(None).unwrap()),
            composers: Composers::new().with("verify_email", Codes(AtomicU32::new(100_000))),
            from: "Shop <no-reply@shop.example>".parse().unwrap(),
            product_name: "Example Shop".into(),
            public_url: self.outbox.deployment().parse().unwrap(),
            schedule: FAST,
        }
    }

    async fn queue(&self, mail: NewMail) -> OutboxId {
        let mut tx = self.db.begin("test").await.unwrap();
        let id = self.outbox.enqueue(&mut tx, mail).await.unwrap();
        tx.commit().await.unwrap();
        self.outbox.wake();
        id
    }

    async fn queue_to(&self, address: &str) -> OutboxId {
        self.queue(NewMail::to_address("verify_email", address)).await
    }

    /// `waiting`, `sent`, `failed` or `gone`, with the attempts and the last error.
    async fn state(&self, id: OutboxId) -> (&'static str, i32, Option<String>) {
        let row = sqlx::query("SELECT sent_at IS NOT NULL, failed_at IS NOT NULL, attempts, last_error FROM auth.outbox WHERE id = $1")
            .bind(id.as_uuid())
            .fetch_optional(self.db.pool())
            .await
            .unwrap();
        let Some(row) = row else { return ("gone", 0, None) };
        let state = match (row.get(0), row.get(1)) {
            (true, false) => "sent",
            (false, true) => "failed",
            _ => "waiting",
        };
        (state, row.get(2), row.get(3))
    }

    async fn wait_for_state(&self, id: OutboxId, wanted: &str) -> (i32, Option<String>) {
        for _ in 0..2_400 {
            let (state, attempts, error) = self.state(id).await;
            if state == wanted {
                return (attempts, error);
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the mail is not {wanted} but {:?}", self.state(id).await);
    }
}

struct Running {
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(worker: Worker) -> Self {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(worker.run(shutdown.clone()));
        Self { shutdown, task }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }

    /// As `kill -9` would: whatever it was doing is not done.
    async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

fn smtp(server: &SmtpServer) -> Arc<SmtpTransport> {
    Arc::new(SmtpTransport::from_url(&server.url()).unwrap())
}

fn sample_mail(to: &str) -> Mail {
    let rendered = Templates::load(None).unwrap().preview("verify_email", "en", "Example Shop").unwrap();
    Mail::new(&"no-reply@shop.example".parse().unwrap(), to, "1.1", rendered).unwrap()
}

#[tokio::test]
async fn a_queued_mail_arrives_over_a_plain_connection_after_sign_in() {
    for mechanism in ["PLAIN", "LOGIN"] {
        let credentials = Some(("post@shop.example", "p@ss: wörd/+%"));
        let server =
            SmtpServer::start(Options { credentials, mechanism: Some(mechanism), ..Options::default() })
                .await;
        let deployment = Deployment::new().await;
        let running = Running::start(deployment.worker(smtp(&server)));
        let id = deployment.queue_to("ada@example.org").await;
        let mail = server.wait_for("ada@example.org").await;
        assert_eq!(mail["sender"], "no-reply@shop.example");
        assert_eq!(mail["user"], "post@shop.example");
        assert_eq!(mail["subject"], "100000 confirms your address at Example Shop");
        for part in ["text", "html"] {
            assert!(mail[part].as_str().unwrap().contains("100000"), "{part}: {}", mail[part]);
        }
        assert_eq!(deployment.wait_for_state(id, "sent").await, (1, None));
        running.stop().await;
    }
}

#[tokio::test]
async fn mail_arrives_over_starttls_and_over_tls() {
    for mode in [Mode::StartTls, Mode::Tls] {
        let credentials = Some(("user", "password"));
        let server = SmtpServer::start(Options { mode, credentials, ..Options::default() }).await;
        let transport = smtp(&server);
        // The second one goes over the connection that the first one left open.
        for to in ["ada@example.org", "grace@example.org"] {
            transport.send(&sample_mail(to)).await.unwrap();
            let mail = server.wait_for(to).await;
            assert_eq!(mail["tls"], true, "{mode:?}");
        }
        assert_eq!(server.sign_ins().len(), 1, "{mode:?}");
    }
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused_before_anything_is_said() {
    for (mode, scheme) in [(Mode::StartTls, "smtp"), (Mode::Tls, "smtps")] {
        let credentials = Some(("user", "password"));
        let server = SmtpServer::start(Options { mode, credentials, ..Options::default() }).await;
        let url = format!("{scheme}://user:password@127.0.0.1:{}", server.port);
        let transport = SmtpTransport::from_url(&url.into()).unwrap();
        let error = transport.send(&sample_mail("ada@example.org")).await.unwrap_err();
        assert!(matches!(error, SendError::Temporary(_)), "{error}");
        assert!(server.mails().is_empty() && server.sign_ins().is_empty());
    }
}

#[tokio::test]
async fn a_server_whose_starttls_was_stripped_gets_neither_password_nor_mail() {
    let credentials = Some(("user", "password"));
    let server = SmtpServer::start(Options { credentials, ..Options::default() }).await;
    let url = format!("smtp://user:password@127.0.0.1:{}", server.port);
    let transport = SmtpTransport::from_url(&url.into()).unwrap();
    let error = transport.send(&sample_mail("ada@example.org")).await.unwrap_err();
    assert!(error.to_string().starts_with("STARTTLS failed, so nothing was sent"), "{error}");
    assert!(server.mails().is_empty() && server.sign_ins().is_empty());
}

#[tokio::test]
async fn a_wrong_password_keeps_the_mail_and_is_not_in_the_error() {
    let server =
        SmtpServer::start(Options { credentials: Some(("user", "right")), ..Options::default() }).await;
    let url = format!("smtp://user:hunter2@127.0.0.1:{}?tls=none", server.port);
    let deployment = Deployment::new().await;
    let wrong = Arc::new(SmtpTransport::from_url(&url.into()).unwrap());
    let id = deployment.queue_to("ada@example.org").await;
    deployment.worker(wrong).run_once().await.unwrap();
    let (state, _, error) = deployment.state(id).await;
    let error = error.unwrap();
    assert_eq!(state, "waiting");
    assert!(error.contains("signing in") && error.contains("535") && !error.contains("hunter2"), "{error}");

    let running = Running::start(deployment.worker(smtp(&server)));
    server.wait_for("ada@example.org").await;
    running.stop().await;
}

#[tokio::test]
async fn no_mail_is_lost_in_an_outage_of_the_server() {
    let server = SmtpServer::start(Options::default()).await;
    let deployment = Deployment::new().await;
    let running = Running::start(deployment.worker(smtp(&server)));
    let before = deployment.queue_to("before@example.org").await;
    deployment.wait_for_state(before, "sent").await;

    let options = server.kill().await;
    let mut queued = Vec::new();
    for number in 0..20 {
        queued.push(deployment.queue_to(&format!("during-{number}@example.org")).await);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(deployment.state(queued[0]).await.0, "waiting");

    let server = SmtpServer::start(options).await;
    server.wait_for_mails(20).await;
    for id in queued {
        deployment.wait_for_state(id, "sent").await;
    }
    let mails = server.mails();
    assert_eq!(mails.len(), 20, "each mail once: nothing was on its way when the server went");
    running.stop().await;
}

#[tokio::test]
async fn a_mail_whose_worker_died_between_claim_and_send_is_sent_when_its_lease_ends() {
    let server = SmtpServer::start(Options::default()).await;
    let deployment = Deployment::new().await;
    let abyss = Arc::new(Abyss(tokio::sync::Notify::new()));
    let doomed = Running::start(deployment.worker(abyss.clone()));
    let id = deployment.queue_to("ada@example.org").await;
    abyss.0.notified().await;
    doomed.kill().await;
    assert_eq!(deployment.state(id).await.0, "waiting");

    let mut survivor = deployment.worker(smtp(&server));
    survivor.composers = Composers::new().with("verify_email", Codes(AtomicU32::new(200_000)));
    let running = Running::start(survivor);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(server.mails().is_empty(), "the lease has not ended yet");
    let mail = server.wait_for("ada@example.org").await;
    assert!(mail["text"].as_str().unwrap().contains("200000"), "a fresh secret");
    assert_eq!(deployment.wait_for_state(id, "sent").await.0, 2);
    running.stop().await;
    assert_eq!(server.mails().len(), 1);
}

#[tokio::test]
async fn a_refused_recipient_or_content_fails_at_once_without_leaking_the_link() {
    let mut server = SmtpServer::start(Options::default()).await;
    let deployment = Deployment::new().await;
    let worker = deployment.worker(smtp(&server));
    for (fault, code) in [("mailbox", "550"), ("permanent", "554")] {
        server.fault(fault).await;
        let id = deployment.queue_to("nobody@example.org").await;
        worker.run_once().await.unwrap();
        let (state, attempts, error) = deployment.state(id).await;
        let error = error.unwrap();
        assert_eq!((state, attempts), ("failed", 1));
        assert!(error.contains(code) && !error.contains("ev_secret") && !error.contains("123456"), "{error}");
    }
}

#[tokio::test]
async fn a_temporary_refusal_a_broken_and_a_hanging_connection_are_tried_again() {
    for fault in ["busy", "temporary", "close", "hang"] {
        let mut server = SmtpServer::start(Options::default()).await;
        let deployment = Deployment::new().await;
        let running = Running::start(deployment.worker(smtp(&server)));
        server.fault(fault).await;
        let id = deployment.queue_to("ada@example.org").await;
        for _ in 0..1_200 {
            if deployment.state(id).await.2.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        server.fault("none").await;
        server.wait_for("ada@example.org").await;
        let (attempts, error) = deployment.wait_for_state(id, "sent").await;
        assert!(attempts > 1, "{fault}");
        assert_eq!(error, None, "{fault}");
        running.stop().await;
        assert_eq!(server.mails().len(), 1, "{fault}");
    }
}

#[tokio::test]
async fn a_name_cannot_add_a_header_or_a_recipient() {
    let server = SmtpServer::start(Options::default()).await;
    let deployment = Deployment::new().await;
    let mut worker = deployment.worker(smtp(&server));
    worker.product_name = "Shop\r\nBcc: eve@example.org\r\nX-Evil: 1\r\n\r\nHello".into();
    let id = deployment.queue_to("ada@example.org").await;
    let hostile = deployment.queue_to("ada@example.org\r\nRCPT TO:<eve@example.org>").await;
    worker.run_once().await.unwrap();
    let mail = server.wait_for("ada@example.org").await;
    assert_eq!(mail["recipients"], json!(["ada@example.org"]));
    let names: Vec<_> =
        mail["headers"].as_array().unwrap().iter().map(|header| header[0].as_str().unwrap()).collect();
    assert!(!names.contains(&"Bcc") && !names.contains(&"X-Evil"), "{names:?}");
    assert!(mail["subject"].as_str().unwrap().contains("Shop Bcc: eve@example.org X-Evil: 1 Hello"));
    assert_eq!(deployment.state(id).await.0, "sent");
    assert_eq!(deployment.state(hostile).await.0, "failed");
    assert_eq!(server.mails().len(), 1);
}

#[tokio::test]
async fn mail_queued_by_another_deployment_is_left_alone() {
    let transport = Arc::new(MemoryTransport::default());
    let (original, copy) = (Deployment::new().await, Deployment::new().await);
    let id = original.queue_to("ada@example.org").await;
    assert_eq!(copy.worker(transport.clone()).run_once().await.unwrap(), 0);
    assert_eq!(original.state(id).await, ("waiting", 0, None));
    assert_eq!(original.worker(transport).run_once().await.unwrap(), 1);
}

#[tokio::test]
async fn workers_share_the_mails_and_none_is_sent_twice() {
    let transport = Arc::new(MemoryTransport::default());
    let deployment = Deployment::new().await;
    for number in 0..40 {
        deployment.queue_to(&format!("{number}@example.org")).await;
    }
    let workers: Vec<_> = (0..4).map(|_| Running::start(deployment.worker(transport.clone()))).collect();
    transport.wait_until(|mail| mail.number == 40).await.unwrap();
    for worker in workers {
        worker.stop().await;
    }
    let mut recipients: Vec<_> = transport.received().iter().map(|mail| mail.to.clone()).collect();
    recipients.sort();
    recipients.dedup();
    assert_eq!((recipients.len(), transport.attempts()), (40, 40));
}

#[tokio::test]
async fn a_mail_that_fails_for_a_day_is_given_up() {
    let transport = Arc::new(MemoryTransport::default());
    transport.refuse(Some(SendError::Temporary("away".into())));
    let deployment = Deployment::new().await;
    let id = deployment.queue_to("ada@example.org").await;
    let worker = deployment.worker(transport);
    worker.run_once().await.unwrap();
    assert_eq!(deployment.state(id).await.0, "waiting");
    sqlx::query(
        "UPDATE auth.outbox SET created_at = now() - interval '25 h', next_attempt_at = now() WHERE id = $1",
    )
    .bind(id.as_uuid())
    .execute(deployment.db.pool())
    .await
    .unwrap();
    worker.run_once().await.unwrap();
    let (state, _, error) = deployment.state(id).await;
    assert_eq!((state, error.as_deref()), ("failed", Some("away")));
}

#[tokio::test]
async fn a_mail_whose_occasion_is_gone_is_dropped() {
    let transport = Arc::new(MemoryTransport::default());
    let deployment = Deployment::new().await;
    let mail = NewMail::to_address("verify_email", "ada@example.org").with_payload(json!({ "gone": true }));
    let id = deployment.queue(mail).await;
    deployment.worker(transport.clone()).run_once().await.unwrap();
    assert_eq!(deployment.state(id).await.0, "gone");
    assert_eq!(transport.attempts(), 0);
}

#[tokio::test]
async fn a_mail_of_an_unknown_kind_waits_for_a_version_that_knows_it() {
    let transport = Arc::new(MemoryTransport::default());
    let deployment = Deployment::new().await;
    let id = deployment.queue(NewMail::to_address("of_the_future", "ada@example.org")).await;
    deployment.worker(transport).run_once().await.unwrap();
    let (state, _, error) = deployment.state(id).await;
    assert_eq!(state, "waiting");
    assert!(error.unwrap().contains("of_the_future"));
}

#[tokio::test]
async fn a_mail_queued_in_a_transaction_that_rolls_back_was_never_queued() {
    let deployment = Deployment::new().await;
    let mut tx = deployment.db.begin("test").await.unwrap();
    let id = deployment
        .outbox
        .enqueue(&mut tx, NewMail::to_address("verify_email", "a@example.org"))
        .await
        .unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(deployment.state(id).await.0, "gone");
}

#[tokio::test]
async fn a_removed_address_and_a_removed_user_take_their_waiting_mail_with_them() {
    let deployment = Deployment::new().await;
    let (user, email) = (uuid::Uuid::now_v7(), uuid::Uuid::now_v7());
    let pool = deployment.db.pool();
    sqlx::query("INSERT INTO auth.users (id) VALUES ($1)").bind(user).execute(pool).await.unwrap();
    sqlx::query("INSERT INTO auth.emails (id, user_id, address, canonical) VALUES ($1, $2, $3, $3)")
        .bind(email)
        .bind(user)
        .bind(format!("{}@example.org", email.simple()))
        .execute(pool)
        .await
        .unwrap();
    let to_email = deployment.queue(NewMail::to_email("verify_email", email.into()).about(user.into())).await;
    let about_user =
        deployment.queue(NewMail::to_address("verify_email", "x@example.org").about(user.into())).await;
    sqlx::query("DELETE FROM auth.emails WHERE id = $1").bind(email).execute(pool).await.unwrap();
    assert_eq!(deployment.state(to_email).await.0, "gone");
    assert_eq!(deployment.state(about_user).await.0, "waiting");
    sqlx::query("DELETE FROM auth.users WHERE id = $1").bind(user).execute(pool).await.unwrap();
    assert_eq!(deployment.state(about_user).await.0, "gone");
}

#[tokio::test]
async fn an_idle_worker_asks_the_database_nothing_and_wakes_for_a_mail() {
    let transport = Arc::new(MemoryTransport::default());
    let deployment = Deployment::new().await;
    let mut worker = deployment.worker(transport.clone());
    // One connection, so that its last statement is the worker's.
    worker.db =
        Db::new(&DatabaseConfig { max_connections: 1, ..support::shared_database_config().await }).unwrap();
    let mut conn = worker.db.acquire().await.unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut conn).await.unwrap();
    drop(conn);
    let running = Running::start(worker);
    deployment.queue_to("first@example.org").await;
    transport.wait_for("first@example.org").await.unwrap();

    let last = || async {
        sqlx::query_scalar::<_, chrono::DateTime<chrono::Utc>>(
            "SELECT query_start FROM pg_stat_activity WHERE pid = $1",
        )
        .bind(pid)
        .fetch_one(deployment.db.pool())
        .await
        .unwrap()
    };
    // It has things to write down after the mail; then it falls silent.
    let began = std::time::Instant::now();
    let mut before = last().await;
    loop {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let now = last().await;
        if before == now {
            break;
        }
        assert!(began.elapsed() < Duration::from_mins(1), "it never falls silent");
        before = now;
    }

    deployment.queue_to("second@example.org").await;
    transport.wait_for("second@example.org").await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn old_mails_are_purged_in_batches_and_waiting_ones_stay() {
    let transport = Arc::new(MemoryTransport::default());
    let deployment = Deployment::new().await;
    let mut sent = Vec::new();
    for number in 0..5 {
        sent.push(deployment.queue_to(&format!("{number}@example.org")).await);
    }
    deployment.worker(transport).run_once().await.unwrap();
    let waiting = deployment.queue_to("waiting@example.org").await;
    sqlx::query("UPDATE auth.outbox SET sent_at = sent_at - interval '40 d' WHERE deployment = $1 AND sent_at IS NOT NULL")
        .bind(deployment.outbox.deployment())
        .execute(deployment.db.pool())
        .await
        .unwrap();
    let mut conn = deployment.db.acquire().await.unwrap();
    let month = Duration::from_hours(30 * 24);
    let mut purged = 0;
    loop {
        match outbox::purge(&mut conn, month, 2).await.unwrap() {
            0 => break,
            count => purged += count,
        }
    }
    assert!(purged >= 5);
    for id in sent {
        assert_eq!(deployment.state(id).await.0, "gone");
    }
    assert_eq!(deployment.state(waiting).await.0, "waiting");
}

#[tokio::test]
async fn the_owner_is_told_by_mail_that_the_password_was_changed() {
    let app = support::TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    app.mailbox.clear();
    let body = json!({ "current_password": support::app::PASSWORD, "password": "eight loud rivers" });
    let changed = ada.http.put("/v1/users/me/password", body).await;
    assert_eq!(changed.status, 204, "{}", changed.text);
    let mail = app.mail_to("ada@example.com").await;
    assert!(mail.subject.contains("password"), "{}", mail.subject);
    assert!(mail.text.contains("If it was not you"), "{}", mail.text);
}
