//! `zctrace serve`: the ledger for what fleets have — Prometheus, Grafana, an OpenTelemetry
//! collector.

mod http;
mod key;
mod metrics;
mod otlp;
mod places;
mod series;
mod slots;
mod tls;
mod verdicts;
mod waits;

pub use http::{Access, Address, Server};
pub use key::{Key, OTHER};
pub use otlp::Pusher;
pub use series::{Series, Shared};
pub use tls::{Tls, TlsError};
