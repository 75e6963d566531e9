//! Registering and signing in with what no honest browser and authenticator would write.

use beyond_auth::platform::crypto::random;
use ciborium::{Value as Cbor, cbor};
use serde_json::{Value, json};

use super::count;
use crate::passkeys::{hand_over, options, present, register, registration, sign_in};
use crate::support::TestApp;
use crate::support::authenticator::{
    ATTESTED, Authenticator, BACKED_UP, BACKUP_ELIGIBLE, Draft, EXTENSIONS, Kind, USER_PRESENT,
    USER_VERIFIED, cbor_bytes, decode, encode,
};
use crate::support::client::Answer;

type Lie = (&'static str, fn(&mut Draft));

/// Lies that serve neither for registering nor for signing in.
const LIES: &[Lie] = &[
    ("another origin", |draft| draft.client_data["origin"] = json!("https://evil.test")),
    ("a subdomain's origin", |draft| draft.client_data["origin"] = json!("http://sub.localhost:0")),
    ("the origin with a slash", |draft| {
        let origin = format!("{}/", draft.client_data["origin"].as_str().unwrap());
        draft.client_data["origin"] = origin.into();
    }),
    ("the origin as a list", |draft| draft.client_data["origin"] = json!([draft.client_data["origin"]])),
    ("no origin", |draft| draft.client_data["origin"] = Value::Null),
    ("another relying party", |draft| draft.rp_id = "evil.test".to_owned()),
    ("another challenge", |draft| draft.client_data["challenge"] = encode([1; 32]).into()),
    ("a challenge cut short", |draft| {
        let challenge = decode(&draft.client_data["challenge"]);
        draft.client_data["challenge"] = encode(&challenge[..31]).into();
    }),
    ("an empty challenge", |draft| draft.client_data["challenge"] = json!("")),
    ("a frame of another site", |draft| draft.client_data["crossOrigin"] = json!(true)),
    ("a top origin", |draft| draft.client_data["topOrigin"] = json!("https://evil.test")),
    ("the other ceremony", |draft| {
        let create = draft.client_data["type"] == "webauthn.create";
        draft.client_data["type"] = json!(if create { "webauthn.get" } else { "webauthn.create" });
    }),
    ("no type", |draft| draft.client_data["type"] = Value::Null),
    ("client data that is no object", |draft| draft.client_data = json!(["webauthn.get"])),
    ("nobody present", |draft| draft.flags &= !USER_PRESENT),
    ("backed up without being eligible", |draft| {
        draft.flags &= !BACKUP_ELIGIBLE;
        draft.flags |= BACKED_UP;
    }),
    ("something left over", |draft| draft.tail = vec![0]),
    ("extensions that are announced and not there", |draft| draft.flags |= EXTENSIONS),
    ("extensions that are no map", |draft| {
        draft.flags |= EXTENSIONS;
        draft.tail = cbor_bytes(&Cbor::from(1));
    }),
    ("extensions without end", |draft| {
        draft.flags |= EXTENSIONS;
        draft.tail = vec![0xbf; 900];
    }),
    ("extensions of a size that nobody has", |draft| {
        draft.flags |= EXTENSIONS;
        draft.tail = vec![0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    }),
];

/// Lies about a sign-in.
const ASSERTION_LIES: &[Lie] = &[
    ("nobody verified", |draft| draft.flags &= !USER_VERIFIED),
    ("a key that moved", |draft| draft.flags &= !(BACKUP_ELIGIBLE | BACKED_UP)),
    ("an unknown credential", |draft| draft.credential_id = vec![7; 32]),
    ("an empty credential id", |draft| draft.credential_id = Vec::new()),
    ("another user's handle", |draft| draft.user_handle = Some(vec![7; 16])),
    ("a handle that goes on", |draft| draft.user_handle.as_mut().unwrap().push(0)),
    ("a credential announced and not there", |draft| draft.flags |= ATTESTED),
    ("flags of nothing", |draft| draft.flags = 0),
];

/// Lies about a new key.
const REGISTRATION_LIES: &[Lie] = &[
    ("no credential", |draft| draft.flags &= !ATTESTED),
    ("an empty credential id", |draft| draft.credential_id = Vec::new()),
    ("a credential id that is too long", |draft| draft.credential_id = vec![7; 1024]),
    ("a key that is no map", |draft| draft.public_key = Cbor::from(1)),
    ("an empty key", |draft| draft.public_key = Cbor::Map(Vec::new())),
    ("an algorithm that was not offered", |draft| {
        let bytes = || Cbor::Bytes(vec![1; 48]);
        draft.public_key = cbor!({ 1 => 2, 3 => -35, -1 => 2, -2 => bytes(), -3 => bytes() }).unwrap();
    }),
    ("RSA with SHA-1", |draft| {
        let (n, e) = (Cbor::Bytes(vec![0xc1; 256]), Cbor::Bytes(vec![1, 0, 1]));
        draft.public_key = cbor!({ 1 => 3, 3 => -65535, -1 => n, -2 => e }).unwrap();
    }),
    ("a short RSA key", |draft| {
        let (n, e) = (Cbor::Bytes(vec![0xc1; 64]), Cbor::Bytes(vec![1, 0, 1]));
        draft.public_key = cbor!({ 1 => 3, 3 => -257, -1 => n, -2 => e }).unwrap();
    }),
    ("a point off the curve", |draft| {
        let bytes = || Cbor::Bytes(vec![1; 32]);
        draft.public_key = cbor!({ 1 => 2, 3 => -7, -1 => 1, -2 => bytes(), -3 => bytes() }).unwrap();
    }),
    ("a key that says twice what it is", |draft| {
        draft.public_key.as_map_mut().unwrap().push((Cbor::from(3), Cbor::from(-7)));
    }),
    ("a statement of none", |draft| draft.statement = cbor!({ "sig" => "x" }).unwrap()),
    ("a statement that is no map", |draft| draft.statement = Cbor::from(1)),
    ("a format that is no text", |draft| draft.format = Cbor::from(1)),
];

#[tokio::test]
async fn no_lie_signs_in() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let mut phone = Authenticator::new(&app);
    register(&ada, &mut phone).await;
    for (what, lie) in LIES.iter().chain(ASSERTION_LIES) {
        let offered = options(&app.stranger()).await;
        let credential = phone.assert_as(&offered, lie);
        let answer = present(&app.stranger(), &offered, credential).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text);
        assert_eq!(answer.problem(401), "invalid_credentials", "{what}");
    }
    sign_in(&app.stranger(), &mut phone).await.expect(201);
}

#[tokio::test]
async fn no_lie_registers() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let mut phone = Authenticator::new(&app).with_kind(Kind::Es256);
    for (what, lie) in LIES.iter().chain(REGISTRATION_LIES) {
        let offered = registration(&ada.http).await;
        let credential = phone.register_as(&offered, lie);
        let answer = hand_over(&ada.http, &offered, credential).await;
        assert_eq!(answer.status, 422, "{what}: {}", answer.text);
        assert_eq!(answer.pointer(), "/credential", "{what}");
        assert_eq!(answer.json()["errors"][0]["code"], "invalid_passkey", "{what}");
    }
    assert_eq!(count(&app, "SELECT count(*) FROM auth.passkeys").await, 0);
    register(&ada, &mut phone).await;
}

#[tokio::test]
async fn what_was_signed_cannot_be_put_together_anew() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let (mut phone, mut other) = (Authenticator::new(&app), Authenticator::new(&app));
    register(&ada, &mut phone).await;
    register(&ada, &mut other).await;
    let tampers: [(&str, fn(&mut Value, &Value)); 6] = [
        ("the other passkey's signature", |own, others| {
            own["response"]["signature"] = others["response"]["signature"].clone();
        }),
        ("the other passkey's id", |own, others| {
            own["id"] = others["id"].clone();
            own["rawId"] = others["rawId"].clone();
        }),
        ("the other passkey's id in one place", |own, others| own["id"] = others["id"].clone()),
        ("an earlier answer's data", |own, _| {
            let data = own["response"]["authenticatorData"].as_str().unwrap();
            own["response"]["authenticatorData"] = data.replacen('A', "B", 1).into();
        }),
        ("no signature", |own, _| own["response"]["signature"] = json!("")),
        ("a signature that goes on", |own, _| {
            let signature = [decode(&own["response"]["signature"]), vec![0]].concat();
            own["response"]["signature"] = encode(signature).into();
        }),
    ];
    for (what, tamper) in tampers {
        let offered = options(&app.stranger()).await;
        let (mut own, others) = (phone.assert(&offered), other.assert(&offered));
        tamper(&mut own, &others);
        let answer = present(&app.stranger(), &offered, own).await;
        assert_eq!(answer.problem(401), "invalid_credentials", "{what}");
    }
}

/// Whether the answer is a proper refusal: never a success, never a fault of ours.
#[track_caller]
fn refused(answer: &Answer, what: &Value) {
    let status = answer.status.as_u16();
    assert!((400..500).contains(&status) && status != 404, "{status} for {what}: {}", answer.text);
    answer.problem(status);
}

fn below(limit: usize) -> usize {
    usize::from(u16::from_le_bytes(random::bytes())) % limit.max(1)
}

/// Changes something about a credential that a browser wrote, at random.
fn mutate(credential: &mut Value) -> String {
    const PARTS: [&str; 9] = [
        "/id",
        "/rawId",
        "/type",
        "/response",
        "/response/clientDataJSON",
        "/response/attestationObject",
        "/response/authenticatorData",
        "/response/signature",
        "/response/userHandle",
    ];
    let parts: Vec<&str> = PARTS.into_iter().filter(|part| credential.pointer(part).is_some()).collect();
    let part = parts[below(parts.len())];
    let slot = credential.pointer_mut(part).unwrap();
    let other = [json!(null), json!(0), json!(true), json!([]), json!({}), json!("\u{fffd}"), json!("=")];
    let mut bytes = slot.as_str().filter(|_| part != "/type").map(|_| decode(slot)).unwrap_or_default();
    let how = below(if bytes.is_empty() { 1 } else { 7 });
    match how {
        0 => *slot = other[below(other.len())].clone(),
        1 => bytes.truncate(below(bytes.len())),
        2 => bytes.push(0),
        3 => {
            let at = below(bytes.len());
            bytes[at] ^= 1 << below(8);
        }
        4 => {
            let at = below(bytes.len());
            bytes[at] = random::bytes::<1>()[0].max(1).wrapping_add(bytes[at]);
        }
        5 => {
            let at = below(bytes.len());
            bytes.insert(at, random::bytes::<1>()[0]);
        }
        _ => bytes.extend(vec![0x5b; 8_000 - below(2_000)]),
    }
    if how > 0 {
        *slot = encode(bytes).into();
    }
    format!("{part} {how}")
}

#[tokio::test]
async fn hundreds_of_mutations_are_all_refused_and_none_is_a_fault() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let mut phone = Authenticator::new(&app).with_kind(Kind::EdDsa);
    register(&ada, &mut phone).await;
    let mut known = 1;
    let mut conn = app.running.app.db.acquire().await.unwrap();
    for turn in 0..200 {
        let offered = options(&app.stranger()).await;
        let honest = phone.assert(&offered);
        let mut credential = honest.clone();
        let what = mutate(&mut credential);
        let answer = present(&app.stranger(), &offered, credential.clone()).await;
        // An absent user handle is no lie.
        let harmless = what.starts_with("/response/userHandle")
            && (credential["response"]["userHandle"].is_null() || credential["response"]["userHandle"] == "");
        if !harmless {
            refused(&answer, &json!({ "turn": turn, "what": what, "credential": credential }));
        }

        let offered = registration(&ada.http).await;
        let mut credential = phone.register(&offered);
        phone.held.pop();
        let what = mutate(&mut credential);
        let answer = hand_over(&ada.http, &offered, credential.clone()).await;
        if answer.status == 201 {
            // Nothing signs a registration without attestation: a changed key or counter is a key, if a useless one, and
            // one more space is none in JSON.
            let harmless = ["/response/attestationObject", "/response/clientDataJSON"];
            assert!(harmless.iter().any(|part| what.starts_with(part)), "{what}");
            known += 1;
            let id: uuid::Uuid = answer.json()["passkey"]["id"].as_str().unwrap().parse().unwrap();
            sqlx::query("DELETE FROM auth.passkeys WHERE id = $1").bind(id).execute(&mut conn).await.unwrap();
        } else {
            refused(&answer, &json!({ "turn": turn, "what": what, "credential": credential }));
        }
    }
    drop(conn);
    assert!(known < 100, "{known}");
    assert_eq!(count(&app, "SELECT count(*) FROM auth.passkeys").await, 1);
    sign_in(&app.stranger(), &mut phone).await.expect(201);
}

#[tokio::test]
async fn bodies_that_are_no_credential_are_told_so() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let mut phone = Authenticator::new(&app);
    register(&ada, &mut phone).await;
    let offered = options(&app.http).await;
    let good = phone.assert(&offered);
    let cases: [(&str, fn(&mut Value)); 8] = [
        ("/credential/rawId", |body| body["credential"]["rawId"] = json!("not base64url")),
        ("/credential/rawId", |body| body["credential"]["rawId"] = json!("AAEC=")),
        ("/credential/type", |body| body["credential"]["type"] = json!("password")),
        ("/credential/response", |body| {
            body["credential"].as_object_mut().unwrap().remove("response");
        }),
        ("/credential/response/signature", |body| body["credential"]["response"]["signature"] = json!(1)),
        ("/credential", |body| body["credential"] = json!([])),
        ("/challenge_id", |body| body["challenge_id"] = json!("x")),
        ("/email", |body| body["email"] = json!("ada@example.com")),
    ];
    for (pointer, change) in cases {
        let mut body =
            json!({ "method": "passkey", "challenge_id": offered["challenge_id"], "credential": good });
        change(&mut body);
        let answer = app.stranger().post("/v1/sessions", body).await;
        assert_eq!(answer.problem(422), "validation_failed", "{pointer}");
        assert_eq!(answer.pointer(), pointer);
    }
    // None of them has spent the challenge.
    let mut newer = good;
    newer["response"]["somethingNew"] = json!(1);
    newer["somethingNew"] = json!(1);
    present(&app.stranger(), &offered, newer).await.expect(201);
}
