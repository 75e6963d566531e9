//! `POST /v1/sessions`: the one address where every way of signing in knocks.
//!
//! Stands above the factors: it reads which method a request names and hands over to that factor's flow, which
//! ends in `sign_in::finish`.

pub mod routes;
