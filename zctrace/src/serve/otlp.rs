//! Pushing to an OpenTelemetry collector: OTLP over HTTP with JSON.
//!
//! The tracer hands over a document and goes on: where the one before is still on its way, the new
//! one is dropped and counted. Nothing is lost by that, because sums are cumulative.

use std::{
    io,
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

use super::{
    series::{Series, Shared, lock, since_epoch},
    waits,
};
use crate::{ledger::Totals, text::message::say};

/// Waits between tries: doubled from the first to the last.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Tries for one document.
const TRIES: u32 = 5;
/// For everything, from the name's lookup to the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where documents are handed over.
pub struct Pusher {
    to: SyncSender<Vec<u8>>,
    shared: Shared,
}

impl Pusher {
    /// Begins a thread that pushes to the collector at `url`, such as `http://127.0.0.1:4318`.
    ///
    /// # Errors
    ///
    /// When there can be no thread.
    pub fn start(url: &str, shared: Shared) -> io::Result<Self> {
        let (to, from) = sync_channel(1);
        let url = format!("{}/v1/metrics", url.trim_end_matches('/'));
        let theirs = shared.clone();
        thread::Builder::new()
            .name("zctrace-otlp".into())
            .spawn(move || push(&url, &from, &theirs))?;
        Ok(Self { to, shared })
    }

    /// Pushes the sums as they are now. Never waits.
    pub fn push(&self) {
        let document = {
            let series = lock(&self.shared);
            document(&series, since_epoch(SystemTime::now()))
        };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.to.try_send(document.to_string().into_bytes())
        {
            lock(&self.shared).push_dropped += 1;
        }
    }
}

fn push(url: &str, from: &Receiver<Vec<u8>>, shared: &Shared) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .build()
        .into();
    // Said once: a wrong address shows at once, and a collector that comes and goes fills no log.
    let mut told = false;
    let mut failed = |error: ureq::Error| {
        lock(shared).push_failures += 1;
        if !std::mem::replace(&mut told, true) {
            let text = format!("cannot push to {url}: {error}");
            let text = without_password(&text, url);
            say(&format!(
                "warning: {text}; zctrace_otlp_pushes_total counts further failures"
            ));
        }
    };
    while let Ok(document) = from.recv() {
        let mut wait = FIRST_WAIT;
        for attempt in 1..=TRIES {
            let sent = agent
                .post(url)
                .header("Content-Type", "application/json")
                .send(&document[..]);
            match sent {
                Ok(_) => {
                    lock(shared).pushed += 1;
                    break;
                }
                // The collector will not like it better the next time.
                Err(error @ ureq::Error::StatusCode(400..=428 | 430..=499)) => {
                    failed(error);
                    break;
                }
                Err(error) => {
                    failed(error);
                    if attempt < TRIES {
                        thread::sleep(wait);
                        wait = (wait * 2).min(LONGEST_WAIT);
                    }
                }
            }
        }
    }
}

/// A message without the user and the password that the URL in it has.
fn without_password(text: &str, url: &str) -> String {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((secret, _)) if !secret.is_empty() => text.replace(&format!("{secret}@"), "…@"),
        _ => text.to_owned(),
    }
}

/// An `ExportMetricsServiceRequest`. A collector that hands it on to Prometheus makes of these names
/// and units the names of `/metrics`, so that a dashboard does not care which way a number came.
fn document(series: &Series, now_ns: u64) -> Value {
    let attribute = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let started_ns = series.started_ns(now_ns);
    let point_since = |begun_ns: u64, attributes: Vec<Value>, value: u64| {
        json!({
            "attributes": attributes,
            "startTimeUnixNano": begun_ns.to_string(),
            "timeUnixNano": now_ns.to_string(),
            "asInt": value.to_string(),
        })
    };
    let point = |attributes, value| point_since(started_ns, attributes, value);
    let (mut operations, mut errors) = (Vec::new(), Vec::new());
    let (mut moved, mut further) = (Vec::new(), Vec::new());
    let mut bounds = Vec::new();
    for (key, totals, begun) in series.slots.rows() {
        // A series that has ended begins again at 0, and says so.
        let begun_ns = begun.map_or(started_ns, |begun| {
            since_epoch(begun).clamp(started_ns, now_ns)
        });
        let point = |attributes, value| point_since(begun_ns, attributes, value);
        let attributes = || {
            let labels = key.labels();
            let attributes = labels.iter().map(|(key, value)| attribute(key, value));
            attributes.collect::<Vec<_>>()
        };
        operations.push(point(attributes(), totals.ops));
        if totals.errors != 0 {
            errors.push(point(attributes(), totals.errors));
        }
        if totals.is_lower_bound() {
            bounds.push(point(attributes(), 1));
        }
        let of_class = |&(class, bytes): &(&str, u64)| {
            (bytes != 0).then(|| {
                let mut attributes = attributes();
                attributes.push(attribute("class", class));
                point(attributes, bytes)
            })
        };
        moved.extend(totals.classes().iter().filter_map(of_class));
        further.extend(totals.extras().iter().filter_map(of_class));
    }
    let errnos = series.errnos.iter().map(|((op, errno), count)| {
        point(vec![attribute("op", op), attribute("errno", errno)], *count)
    });
    let errnos = errnos.collect();
    let float = |attributes: Value, value: f64| {
        json!({
            "attributes": [attributes],
            "startTimeUnixNano": started_ns.to_string(),
            "timeUnixNano": now_ns.to_string(),
            "asDouble": value,
        })
    };
    let cpu = series.cpu().into_iter();
    let cpu = cpu.map(|(work, seconds)| float(attribute("work", work), seconds));
    let cpu = cpu.collect();
    let bounds_of_waits: Vec<_> = waits::bounds().map(|ns| ns as f64 / 1e9).collect();
    let (mut waits, mut notified, mut pinned) = (Vec::new(), Vec::new(), Vec::new());
    for (op, sends) in &series.notified {
        let op = attribute("op", op);
        let counts = waits::counts(sends);
        waits.push(json!({
            "attributes": [op],
            "startTimeUnixNano": started_ns.to_string(),
            "timeUnixNano": now_ns.to_string(),
            "count": sends.sends.to_string(),
            "sum": sends.ns as f64 / 1e9,
            "explicitBounds": bounds_of_waits,
            "bucketCounts": counts.iter().map(u64::to_string).collect::<Vec<_>>(),
        }));
        notified.push(point(vec![op.clone()], sends.bytes));
        pinned.push(float(op, sends.pinned_byte_us as f64 / 1e6));
    }
    let not_seen = series.not_seen.iter();
    let not_seen = not_seen.map(|name| point(vec![attribute("technique", name)], 1));
    let not_seen: Vec<_> = not_seen.collect();
    let sum = |name: &str, unit: &str, points: Vec<Value>| {
        json!({
            "name": name,
            "unit": unit,
            // Cumulative.
            "sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": points},
        })
    };
    let lost = series.lost();
    let lost = lost.map(|(kind, count)| point(vec![attribute("kind", kind)], count));
    let unfollowed = series.unfollowed();
    let unfollowed = unfollowed.map(|(kind, count)| point(vec![attribute("kind", kind)], count));
    let single = |value: u64| vec![point(Vec::new(), value)];
    let of_whole = |(class, bytes)| point(vec![attribute("class", class)], bytes);
    let whole = series.whole.classes().map(of_whole).to_vec();
    let whole_further = series.whole.extras().map(of_whole).to_vec();
    let unattributed = single(Totals::copies(&series.unattributed));
    json!({
        "resourceMetrics": [{
            "resource": {"attributes": [
                attribute("service.name", "zctrace"),
                attribute("host.name", &nix::unistd::gethostname().map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned())),
            ]},
            "scopeMetrics": [{
                "scope": {"name": "zctrace", "version": env!("CARGO_PKG_VERSION")},
                "metrics": [
                    sum("zctrace.operations", "{operation}", operations),
                    sum("zctrace.moved", "By", moved),
                    sum("zctrace.further", "By", further),
                    sum("zctrace.operation_errors", "{operation}", errors),
                    sum("zctrace.cpu", "s", cpu),
                    sum("zctrace.operation_errnos", "{operation}", errnos),
                    json!({
                        "name": "zctrace.notification",
                        "unit": "s",
                        "histogram": {"aggregationTemporality": 2, "dataPoints": waits},
                    }),
                    sum("zctrace.notified", "By", notified),
                    sum("zctrace.pinned_byte_seconds", "{byte_second}", pinned),
                    json!({
                        "name": "zctrace.copies_per_byte_is_lower_bound",
                        "gauge": {"dataPoints": bounds},
                    }),
                    json!({
                        "name": "zctrace.not_seen",
                        "gauge": {"dataPoints": not_seen},
                    }),
                    sum("zctrace.unattributed_copied", "By", unattributed),
                    sum("zctrace.lost_events", "{event}", lost.to_vec()),
                    sum("zctrace.unfollowed_calls", "{call}", unfollowed.to_vec()),
                    sum("zctrace.folded_rows", "{row}", single(series.slots.folded)),
                    sum("zctrace.ended_series", "{series}", single(series.slots.ended)),
                    sum("zctrace.all_moved", "By", whole),
                    sum("zctrace.all_further", "By", whole_further),
                ],
            }],
        }],
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_password_is_not_printed() {
        let url = "http://me:p@ss@collector:4318/v1/metrics";
        let shown = without_password(&format!("cannot push to {url}: no"), url);
        assert_eq!(
            shown,
            "cannot push to http://…@collector:4318/v1/metrics: no"
        );
        let url = "http://collector:4318/@";
        assert_eq!(without_password(url, url), url);
    }

    use std::{collections::BTreeSet, time::Duration};

    use super::*;
    use crate::{
        ledger::{Notified, samples},
        serve::metrics,
    };

    /// What is pushed is what is scraped, but for zctrace's own state.
    #[test]
    fn names_are_those_of_the_page() {
        let mut series = Series::new(100, false, Duration::from_secs(1));
        let mut snapshot = samples::normal();
        // Families without a series are on no page.
        snapshot.processes[0].paths[0].notified = Notified {
            sends: 1,
            bytes: 4096,
            ns: 2000,
            pinned_byte_us: 8192,
            histogram: [(1920, 1)].into_iter().collect(),
        };
        series.add(&snapshot);
        let pushed: BTreeSet<_> =
            document(&series, since_epoch(SystemTime::now()))["resourceMetrics"][0]["scopeMetrics"]
                [0]["metrics"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|metric| metric["sum"].is_object() || metric["histogram"].is_object())
                .map(|metric| {
                    let name = metric["name"].as_str().unwrap().replace('.', "_");
                    let unit = match metric["unit"].as_str() {
                        Some("By") => "_bytes",
                        Some("s") => "_seconds",
                        _ => "",
                    };
                    format!("{name}{unit}")
                })
                .collect();
        let text = metrics::text(&series).unwrap();
        let scraped: BTreeSet<_> = text
            .lines()
            .filter_map(|line| {
                let (name, kind) = line.strip_prefix("# TYPE ")?.rsplit_once(' ')?;
                ["counter", "histogram"].contains(&kind).then_some(name)
            })
            .filter(|name| !["zctrace_readings", "zctrace_otlp_pushes"].contains(name))
            .map(str::to_owned)
            .collect();
        assert_eq!(pushed, scraped);
    }
}
