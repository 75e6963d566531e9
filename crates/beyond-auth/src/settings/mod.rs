//! Settings: what belongs to the project rather than to a deployment, so it lives in the database and forks
//! with it.
//!
//! Invariants: the database holds only what differs from the defaults; what it holds was validated; each flow
//! reads the settings in its own transaction, so a change reaches every instance with its next request.

pub mod flow;
pub mod links;
pub mod model;
pub mod store;

pub use flow::load;
pub use model::Settings;
