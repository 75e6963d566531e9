//! An OpenID provider in the test's own process that does as it is told, also what no provider should.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaKeyPair,
};
use aws_lc_rs::{digest, hmac};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Map, Value, json};
use url::Url;

/// Who the service is here.
pub const CLIENT_ID: &str = "beyond";
/// And its secret: with what forms and headers have to encode.
pub const CLIENT_SECRET: &str = "s3cret: %+/ä";

/// A key that signs.
pub enum Signer {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
    Rsa(&'static RsaKeyPair),
}

/// A key with its name.
pub struct Key {
    pub kid: String,
    pub signer: Signer,
}

/// One RSA key for all tests: they take long to make.
fn rsa() -> &'static RsaKeyPair {
    static KEY: OnceLock<RsaKeyPair> = OnceLock::new();
    KEY.get_or_init(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
}

impl Key {
    /// A new key for `ES256`, `EdDSA`, or `RS256` and `PS256`.
    pub fn new(kid: &str, algorithm: &str) -> Self {
        let signer = match algorithm {
            "EdDSA" => Signer::Ed25519(Ed25519KeyPair::generate().unwrap()),
            "ES256" => Signer::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
            _ => Signer::Rsa(rsa()),
        };
        Self { kid: kid.to_owned(), signer }
    }

    /// Its public half.
    pub fn jwk(&self) -> Value {
        let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.signer {
            Signer::Ed25519(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": b64(pair.public_key().as_ref()) })
            }
            Signer::P256(pair) => {
                let point = pair.public_key().as_ref();
                json!({ "kty": "EC", "crv": "P-256", "x": b64(&point[1..33]), "y": b64(&point[33..]) })
            }
            Signer::Rsa(pair) => {
                let public = pair.public_key();
                let big = |number: &[u8]| {
                    let start = number.iter().position(|byte| *byte != 0).unwrap();
                    b64(&number[start..])
                };
                json!({ "kty": "RSA", "n": big(public.modulus().big_endian_without_leading_zero()),
                        "e": big(public.exponent().big_endian_without_leading_zero()) })
            }
        };
        jwk["kid"] = self.kid.clone().into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// Signs as `algorithm` says: also as HS256 by the public half, or not at all.
    pub fn sign(&self, algorithm: &str, header: &Map<String, Value>, claims: &Map<String, Value>) -> String {
        let part = |value: &Map<String, Value>| URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).unwrap());
        let message = format!("{}.{}", part(header), part(claims));
        let random = SystemRandom::new();
        let signature = match (&self.signer, algorithm) {
            (_, "none") => Vec::new(),
            (signer, "HS256") => {
                let public = match signer {
                    Signer::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
                    Signer::P256(pair) => pair.public_key().as_ref().to_vec(),
                    Signer::Rsa(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
                };
                let key = hmac::Key::new(hmac::HMAC_SHA256, &public);
                hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
            }
            (Signer::Ed25519(pair), _) => pair.sign(message.as_bytes()).as_ref().to_vec(),
            (Signer::P256(pair), _) => pair.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec(),
            (Signer::Rsa(pair), algorithm) => {
                let padding = if algorithm == "PS256" { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message.as_bytes(), &mut signature).unwrap();
                signature
            }
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Of a JSON object.
pub type Change = Box<dyn Fn(&mut Map<String, Value>) + Send>;

/// An answer in place of the right one.
#[derive(Clone, Debug, Default)]
pub struct Instead {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Instead {
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub fn body(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.into() }
    }
}

/// How the provider behaves.
#[derive(Default)]
pub struct Script {
    /// Of the discovery document.
    pub discovery: Option<Change>,
    /// Of the claims of identity tokens.
    pub claims: Option<Change>,
    /// Of their headers.
    pub header: Option<Change>,
    /// Of the token endpoint's answer.
    pub tokens: Option<Change>,
    /// Sign as this says, whatever the key; the header follows.
    pub sign_as: Option<&'static str>,
    /// Documents by path.
    pub documents: HashMap<&'static str, Value>,
    /// Other answers by path.
    pub instead: HashMap<&'static str, Instead>,
    /// By path: answers take this long.
    pub delay: HashMap<&'static str, Duration>,
}

struct Granted {
    nonce: Option<String>,
    challenge: String,
    redirect_uri: String,
}

/// What is said and what was heard.
pub struct Inner {
    pub script: Script,
    pub keys: Vec<Key>,
    /// The person who signs in.
    pub person: Map<String, Value>,
    granted: HashMap<String, Granted>,
    /// Paths that were asked for.
    pub asked: Vec<String>,
    /// Forms that were posted, with their paths.
    pub posted: Vec<(String, HashMap<String, String>)>,
}

/// The provider. Stops with the test's runtime.
#[derive(Clone)]
pub struct Idp {
    /// Also the issuer.
    pub url: String,
    inner: Arc<Mutex<Inner>>,
}

impl Idp {
    /// A provider that behaves, with a key for ES256.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let person = json!({ "sub": "248289761001", "email": "ada@example.com", "email_verified": true,
                             "name": "Ada Lovelace", "picture": "https://id.example/ada.png" });
        let inner = Inner {
            script: Script::default(),
            keys: vec![Key::new("first", "ES256")],
            person: person.as_object().unwrap().clone(),
            granted: HashMap::new(),
            asked: Vec::new(),
            posted: Vec::new(),
        };
        let idp = Self { url, inner: Arc::new(Mutex::new(inner)) };
        let router = Router::new()
            .route("/token", post(token))
            .route("/jwks", get(jwks))
            .route("/.well-known/openid-configuration", get(discovery))
            .fallback(document)
            .with_state(idp.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        idp
    }

    /// Change what is said, look at what was heard.
    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// How often a path was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.lock().asked.iter().filter(|asked| *asked == path).count()
    }

    /// A claim of the person's; `None` removes it.
    pub fn says(&self, name: &str, value: Option<Value>) {
        let person = &mut self.lock().person;
        match value {
            Some(value) => person.insert(name.to_owned(), value),
            None => person.remove(name),
        };
    }

    /// Changes claims of identity tokens just before they are signed.
    pub fn twist(&self, change: impl Fn(&mut Map<String, Value>) + Send + 'static) {
        self.lock().script.claims = Some(Box::new(change));
    }

    /// As an operator would describe it.
    pub fn description(&self, id: &str) -> Value {
        json!({ "id": id, "kind": "oidc", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
                "issuer": self.url, "trust_email": true, "link_policy": "verified_email",
                "allow_sign_up": true })
    }

    /// The person agrees: where the browser goes then.
    pub fn approve(&self, authorize: &str) -> Url {
        let url = Url::parse(authorize).unwrap();
        let query: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(query["response_type"], "code");
        assert_eq!(query["client_id"], CLIENT_ID);
        assert_eq!(query["code_challenge_method"], "S256");
        let mut inner = self.lock();
        // Never the same twice, however many have been taken home since.
        let code = format!("code-{}", uuid::Uuid::now_v7().simple());
        let mut back = Url::parse(&query["redirect_uri"]).unwrap();
        back.query_pairs_mut()
            .append_pair("code", &code)
            .append_pair("state", &query["state"])
            .append_pair("iss", &self.url);
        let granted = Granted {
            nonce: query.get("nonce").cloned(),
            challenge: query["code_challenge"].clone(),
            redirect_uri: query["redirect_uri"].clone(),
        };
        inner.granted.insert(code, granted);
        back
    }

    /// An identity token as an app on a device would get it.
    pub fn id_token(&self, nonce: Option<&str>) -> String {
        self.lock().id_token(&self.url, nonce)
    }

    /// What was posted last to a path.
    pub fn heard(&self, path: &str) -> HashMap<String, String> {
        let inner = self.lock();
        let found = inner.posted.iter().rev().find(|(posted, _)| posted == path);
        found.map(|(_, form)| form.clone()).unwrap_or_default()
    }

    fn hear(&self, path: &str, body: &[u8]) {
        if !body.is_empty() {
            let form = url::form_urlencoded::parse(body).into_owned().collect();
            self.lock().posted.push((path.to_owned(), form));
        }
    }

    /// What a path answers instead of the right thing, once it is time.
    async fn told(&self, path: &str) -> Option<Response> {
        let (delay, instead) = {
            let mut inner = self.lock();
            inner.asked.push(path.to_owned());
            (inner.script.delay.get(path).copied(), inner.script.instead.get(path).cloned())
        };
        if let Some(delay) = delay {
            tokio::time::sleep(delay).await;
        }
        instead.map(|instead| {
            let mut response = Response::builder().status(instead.status);
            for (name, value) in instead.headers {
                response = response.header(name, value);
            }
            response.body(Body::from(instead.body)).unwrap()
        })
    }
}

impl Inner {
    fn id_token(&self, issuer: &str, nonce: Option<&str>) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut claims = self.person.clone();
        claims.insert("iss".to_owned(), issuer.into());
        claims.insert("aud".to_owned(), CLIENT_ID.into());
        claims.insert("iat".to_owned(), now.into());
        claims.insert("exp".to_owned(), (now + 300).into());
        // Two tokens of one second are two.
        let unique = URL_SAFE_NO_PAD.encode(
            aws_lc_rs::rand::generate(&SystemRandom::new())
                .map(|bytes: aws_lc_rs::rand::Random<[u8; 8]>| bytes.expose())
                .unwrap(),
        );
        claims.insert("jti".to_owned(), unique.into());
        if let Some(nonce) = nonce {
            claims.insert("nonce".to_owned(), nonce.into());
        }
        if let Some(change) = &self.script.claims {
            change(&mut claims);
        }
        let key = &self.keys[0];
        let own = match &key.signer {
            Signer::Ed25519(_) => "EdDSA",
            Signer::P256(_) => "ES256",
            Signer::Rsa(_) => "RS256",
        };
        let algorithm = self.script.sign_as.unwrap_or(own);
        let mut header = Map::new();
        header.insert("alg".to_owned(), algorithm.into());
        header.insert("typ".to_owned(), "JWT".into());
        header.insert("kid".to_owned(), key.kid.clone().into());
        if let Some(change) = &self.script.header {
            change(&mut header);
        }
        key.sign(algorithm, &header, &claims)
    }
}

fn json_response(status: u16, value: &Value) -> Response {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Body::from(value.to_string()))
        .unwrap()
}

async fn discovery(State(idp): State<Idp>) -> Response {
    if let Some(instead) = idp.told("/discovery").await {
        return instead;
    }
    let url = &idp.url;
    let mut document = json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "userinfo_endpoint": format!("{url}/userinfo"),
        "jwks_uri": format!("{url}/jwks"),
        "authorization_response_iss_parameter_supported": true,
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "id_token_signing_alg_values_supported": ["ES256", "RS256", "PS256", "EdDSA"],
    });
    if let Some(change) = &idp.lock().script.discovery {
        change(document.as_object_mut().unwrap());
    }
    json_response(200, &document)
}

async fn jwks(State(idp): State<Idp>) -> Response {
    if let Some(instead) = idp.told("/jwks").await {
        return instead;
    }
    let keys: Vec<Value> = idp.lock().keys.iter().map(Key::jwk).collect();
    json_response(200, &json!({ "keys": keys }))
}

/// Any other document: `/userinfo` is the person's own.
async fn document(State(idp): State<Idp>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    idp.hear(uri.path(), &body);
    if let Some(instead) = idp.told(uri.path()).await {
        return instead;
    }
    let inner = idp.lock();
    let found = inner.script.documents.iter().find(|(path, _)| **path == uri.path());
    let found = found
        .map(|(_, document)| document.clone())
        .or_else(|| (uri.path() == "/userinfo").then(|| Value::Object(inner.person.clone())));
    let bearer = headers.get("authorization").and_then(|value| value.to_str().ok());
    match found {
        Some(document) if bearer == Some("Bearer access-token") => json_response(200, &document),
        Some(_) => json_response(401, &json!({ "error": "invalid_token" })),
        None => json_response(404, &json!({})),
    }
}

/// RFC 6749 §4.1.3, strictly.
async fn token(State(idp): State<Idp>, headers: HeaderMap, body: Bytes) -> Response {
    idp.hear("/token", &body);
    if let Some(instead) = idp.told("/token").await {
        return instead;
    }
    let form: HashMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
    let refuse = |error: &str| json_response(400, &json!({ "error": error }));
    if !authenticated(&headers, &form) {
        return json_response(StatusCode::UNAUTHORIZED.as_u16(), &json!({ "error": "invalid_client" }));
    }
    let mut inner = idp.lock();
    let Some(granted) = form.get("code").and_then(|code| inner.granted.remove(code)) else {
        return refuse("invalid_grant");
    };
    let verifier = form.get("code_verifier").map(String::as_str).unwrap_or_default();
    let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
    if challenge != granted.challenge || form.get("redirect_uri") != Some(&granted.redirect_uri) {
        return refuse("invalid_grant");
    }
    let mut answer = json!({ "access_token": "access-token", "token_type": "Bearer", "expires_in": 3600,
        "refresh_token": "refresh-token", "id_token": inner.id_token(&idp.url, granted.nonce.as_deref()) });
    if let Some(change) = &inner.script.tokens {
        change(answer.as_object_mut().unwrap());
    }
    json_response(200, &answer)
}

fn authenticated(headers: &HeaderMap, form: &HashMap<String, String>) -> bool {
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let basic = format!("{}:{}", encode(CLIENT_ID), encode(CLIENT_SECRET));
    let basic = format!("Basic {}", STANDARD.encode(basic));
    let posted = form.get("client_id").map(String::as_str) == Some(CLIENT_ID)
        && form.get("client_secret").map(String::as_str) == Some(CLIENT_SECRET);
    let header = headers.get("authorization").and_then(|value| value.to_str().ok());
    posted != (header == Some(&basic))
}
