//! Field errors, gathered so that a caller sees all of them at once.

use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Problem;

/// What is wrong with one part of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body, or the name of the query parameter after a `?`.
    pub pointer: String,
    /// Stable word for programs.
    pub code: &'static str,
    /// For people.
    pub detail: String,
}

/// Something that can say what is wrong with a field.
pub trait InvalidField {
    /// Stable word for programs.
    fn code(&self) -> &'static str;
    /// For people.
    fn detail(&self) -> String;
}

/// Gathers field errors over a whole request.
#[derive(Debug, Default)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// Notes an error.
    pub fn push(&mut self, pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) {
        self.0.push(FieldError { pointer: pointer.into(), code, detail: detail.into() });
    }

    /// Keeps the value, or notes what is wrong with it.
    pub fn take<T, E: InvalidField>(&mut self, pointer: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.push(pointer, error.code(), error.detail())).ok()
    }

    /// Fails with everything noted so far.
    pub fn finish(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(Problem::invalid(self.0)) }
    }
}
