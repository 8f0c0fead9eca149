//! `zctrace serve`: the ledger for what fleets have — Prometheus, Grafana, an OpenTelemetry
//! collector.

mod http;
mod metrics;
mod otlp;
mod places;
mod series;

pub use http::{Access, Address, Server};
pub use otlp::Pusher;
pub use series::{Key, OTHER, Series, Shared};
