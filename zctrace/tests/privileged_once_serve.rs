//! Metrics, whatever the backend: they are what `stat` counts, what comes and goes leaves nothing
//! behind, an OTLP receiver gets the same numbers, and no privilege is kept.

mod common;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    process::Command,
};

use common::{
    attached::Attached,
    serve::{WRITTEN, await_served, bytes_of, eventually, generator, get, run, serve, sum, worker},
};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{KeyValue, any_value},
    metrics::v1::{AggregationTemporality, metric, number_data_point},
};
use zctrace::ledger::Snapshot;

/// The same processes over the same time, counted twice.
#[test]
#[ignore = "needs root and BPF"]
fn it_serves_what_stat_counts() {
    let dir = tempfile::tempdir().expect("a directory");
    let name = "zcserve-same";
    let (_instance, address) = serve(name, &[]);
    let file = dir.path().join("stat.json");
    let path = file.display().to_string();
    let stat = Attached::start(&["stat", "--json", "--no-faults", "--comm", name, "-o", &path]);
    let load = Command::new(generator(dir.path(), name))
        .args(["traffic", "--bytes", "4194304"])
        .args(["sendfile-tcp", "tcp", "pipe", "file-tmpfs", "splice-tcp"])
        .output();
    assert!(load.expect("it starts").status.success());
    assert!(stat.interrupt().status.success());
    let stat: Snapshot =
        serde_json::from_str(&fs::read_to_string(file).expect("a file")).expect("a document");
    let expected = bytes_of(&stat);
    assert!(
        expected.values().sum::<u64>() > 5 * (4 << 20),
        "{expected:#?}"
    );
    await_served(&address, &expected);
    assert_eq!(
        sum(
            &get(&address, "/metrics").1,
            "zctrace_lost_events_total",
            &[]
        ),
        0
    );
}

#[test]
#[ignore = "needs root and BPF"]
fn processes_that_come_and_go_leave_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let worker = worker(dir.path(), "zcserve-many");
    let (instance, address) = serve("zcserve-many", &[]);
    let series = || {
        get(&address, "/metrics")
            .1
            .lines()
            .filter(|line| !line.starts_with('#'))
            .count()
    };
    let memory = || {
        let status = fs::read_to_string(format!("/proc/{}/status", instance.0.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap()
            .to_owned();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    let many = |count: u32| {
        let script = format!(
            "i=0; while [ $i -lt {count} ]; do {worker} if=/dev/zero of=/dev/null bs=1 count=1 2>/dev/null; i=$((i+1)); done"
        );
        assert!(
            Command::new("sh")
                .args(["-c", &script])
                .status()
                .unwrap()
                .success()
        );
    };
    let counted = |count: u64| {
        eventually("counted", || {
            let labels = ["op=\"write\"", "object=\"char:mem\"", "zcserve-many"];
            // dd writes once to its output; what it says goes to /dev/null too, in one write or more.
            sum(
                &get(&address, "/metrics").1,
                "zctrace_operations_total",
                &labels,
            ) >= count
        });
    };
    many(1000);
    counted(1000);
    let (series_before, memory_before) = (series(), memory());
    many(9000);
    counted(10_000);
    assert_eq!(series(), series_before);
    let grown = memory().saturating_sub(memory_before);
    assert!(grown < 4096, "{grown} KiB more than {memory_before}");
    let text = get(&address, "/metrics").1;
    assert_eq!(sum(&text, "zctrace_lost_events_total", &["map_full"]), 0);
}

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

#[test]
#[ignore = "needs root and BPF"]
fn no_thread_keeps_a_capability() {
    // With a pusher: every kind of thread there is.
    let (instance, _) = serve("zcserve-caps", &["--otlp", "http://127.0.0.1:1"]);
    let tasks = fs::read_dir(format!("/proc/{}/task", instance.0.id())).expect("threads");
    let mut count = 0;
    for task in tasks {
        // A kernel worker that was used while attaching may just be ending.
        let status = fs::read_to_string(task.expect("a thread").path().join("status"));
        let Ok(status) = status else { continue };
        let sets: Vec<_> = status.lines().filter(|l| l.starts_with("Cap")).collect();
        assert_eq!(sets.len(), 5, "{status}");
        for set in sets {
            let value = set.split_whitespace().nth(1).expect("a value");
            assert_eq!(u64::from_str_radix(value, 16), Ok(0), "{status}");
        }
        count += 1;
    }
    assert!(count >= 3, "{count}");
}
