//! SQL on the slice's tables.

pub mod documents;
pub mod flows;
pub mod providers;
pub mod tokens;
