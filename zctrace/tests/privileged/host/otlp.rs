//! What a collector that was away gets when it is back.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    process::{Command, Stdio},
};

use crate::common::serve::{Running, WRITTEN, eventually, get, run, serve, sum, worker};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{KeyValue, any_value},
    metrics::v1::{AggregationTemporality, metric, number_data_point},
};

#[test]
#[ignore = "needs root and BPF"]
fn a_collector_gets_the_same_numbers_after_it_was_away() {
    let dir = tempfile::tempdir().expect("a directory");
    let worker = worker(dir.path(), "zcserve-otlp");
    let receiver = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", receiver.local_addr().expect("an address"));
    let (_instance, address) = serve("zcserve-otlp", &["--otlp", &url]);
    run(&worker);
    eventually("counted", || {
        sum(
            &get(&address, "/metrics").1,
            "zctrace_moved_bytes_total",
            &WRITTEN,
        ) == 200 << 16
    });
    // The first answers are refusals: it must come again.
    let mut answers = 0;
    loop {
        let (mut stream, _) = receiver.accept().expect("a push");
        let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
        let mut length = 0;
        let mut first = String::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a header");
            if first.is_empty() {
                first.clone_from(&line);
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            if line == "\r\n" {
                break;
            }
        }
        assert_eq!(first, "POST /v1/metrics HTTP/1.1\r\n");
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("a body");
        answers += 1;
        let status = if answers <= 2 {
            "503 Service Unavailable"
        } else {
            "200 OK"
        };
        let _ = write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
        );
        drop(stream);
        if answers <= 2 {
            continue;
        }
        let sum = moved(&body);
        if sum == 200 << 16 {
            break;
        }
        assert!(answers < 100, "the numbers never came");
    }
    let text = get(&address, "/metrics").1;
    assert!(
        sum(&text, "zctrace_otlp_pushes_total", &["failed"]) >= 1,
        "{text}"
    );
}

#[test]
#[ignore = "needs root and BPF"]
fn a_collector_that_is_not_there_is_told_once() {
    // A port that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", free.local_addr().expect("an address"));
    drop(free);
    let child = Command::new(crate::common::zctrace())
        .args(["serve", "--listen", "127.0.0.1:0", "--interval", "100ms"])
        .args(["--no-faults", "--comm", "zcserve-no-otlp", "--otlp", &url])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut running = Running(child);
    let mut stderr = BufReader::new(running.0.stderr.take().expect("a pipe"));
    let mut line = String::new();
    stderr.read_line(&mut line).expect("a line");
    let address = line.trim().strip_prefix("serving http://").expect("where");
    let address = address.strip_suffix("/metrics").expect("where").to_owned();
    eventually("failed twice", || {
        let text = get(&address, "/metrics").1;
        sum(&text, "zctrace_otlp_pushes_total", &["failed"]) >= 2
    });
    running.0.kill().expect("it runs");
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).expect("text");
    // No process has this name, which is said first.
    let (note, rest) = rest.split_once('\n').expect("lines");
    assert!(note.contains("zcserve-no-otlp"), "{note}");
    assert!(
        rest.starts_with(&format!("warning: cannot push to {url}")),
        "{rest}"
    );
    assert_eq!(rest.lines().count(), 1, "{rest}");
}

/// What OpenTelemetry's own types make of a push: the bytes that were written to tmpfs.
fn moved(body: &[u8]) -> u64 {
    let request: ExportMetricsServiceRequest = serde_json::from_slice(body).expect("a request");
    let resource = &request.resource_metrics[0];
    let attributes = &resource.resource.as_ref().expect("a resource").attributes;
    assert!(has(attributes, "service.name", "zctrace"), "{attributes:?}");
    let metrics = &resource.scope_metrics[0].metrics;
    let moved = metrics.iter().find(|metric| metric.name == "zctrace.moved");
    let Some(metric::Data::Sum(sum)) = moved.and_then(|metric| metric.data.as_ref()) else {
        panic!("no sum of what was moved in {metrics:?}");
    };
    assert!(sum.is_monotonic);
    assert_eq!(
        sum.aggregation_temporality(),
        AggregationTemporality::Cumulative
    );
    sum.data_points
        .iter()
        .inspect(|point| assert!(point.start_time_unix_nano <= point.time_unix_nano))
        .filter(|point| {
            has(&point.attributes, "op", "write") && has(&point.attributes, "object", "file:tmpfs")
        })
        .map(|point| match point.value {
            Some(number_data_point::Value::AsInt(value)) => u64::try_from(value).expect("bytes"),
            ref other => panic!("{other:?} is no whole number"),
        })
        .sum()
}

fn has(attributes: &[KeyValue], key: &str, value: &str) -> bool {
    attributes.iter().any(|attribute| {
        let text = attribute.value.as_ref().and_then(|v| v.value.as_ref());
        attribute.key == key && matches!(text, Some(any_value::Value::StringValue(v)) if v == value)
    })
}
