//! Metrics: what a real Prometheus server scrapes from several instances is what `stat` counts; what
//! comes and goes leaves nothing behind; an OTLP receiver gets the same numbers.

mod common;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};

use common::zctrace;
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{KeyValue, any_value},
    metrics::v1::{AggregationTemporality, metric, number_data_point},
};
use serde_json::Value;
use zctrace::{ledger::Snapshot, output::recorded::Document};

/// A program that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `zctrace serve` for a command name, and its address.
fn serve(comm: &str, options: &[&str]) -> (Running, String) {
    let mut child = Command::new(zctrace())
        .args(["serve", "--listen", "127.0.0.1:0", "--interval", "200ms"])
        .args(["--no-faults", "--comm", comm])
        .args(options)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
    stderr.read_line(&mut line).expect("a line");
    // What is said later is read by nobody, and must not fill the pipe.
    thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    let address = line
        .trim()
        .strip_prefix("serving http://")
        .and_then(|rest| rest.strip_suffix("/metrics"))
        .unwrap_or_else(|| panic!("{line}"))
        .to_owned();
    let running = Running(child);
    eventually("ready", || get(&address, "/readyz").0 == 200);
    (running, address)
}

fn get(address: &str, path: &str) -> (u16, String) {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return (0, String::new());
    };
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    if stream.read_to_string(&mut answer).is_err() {
        return (0, String::new());
    }
    let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status.unwrap_or(0), body.to_owned())
}

/// Waits for what must come, and says what did not.
fn eventually(what: &str, mut test: impl FnMut() -> bool) {
    let start = Instant::now();
    while !test() {
        assert!(start.elapsed() < Duration::from_secs(60), "never {what}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// The sum of the samples of a metric whose labels contain all of `labels`.
fn sum(text: &str, metric: &str, labels: &[&str]) -> u64 {
    text.lines()
        .filter(|line| line.starts_with(&format!("{metric}{{")))
        .filter(|line| labels.iter().all(|label| line.contains(label)))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}

/// A copy of `dd` with a name of its own, so that tests on one machine do not see each other.
fn worker(directory: &Path, name: &str) -> String {
    let path = directory.join(name);
    fs::copy("/bin/dd", &path).expect("dd");
    path.display().to_string()
}

/// What the worker does; `stat` counts the same thing.
const COPY: &[&str] = &[
    "if=/dev/zero",
    "of=/dev/shm/zctrace-serve",
    "bs=64k",
    "count=200",
];

fn stat(worker: &str) -> Snapshot {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("stat.json");
    let status = Command::new(zctrace())
        .args(["stat", "--json", "--no-faults", "-o"])
        .arg(&file)
        .arg("--")
        .arg(worker)
        .args(COPY)
        .stderr(Stdio::null())
        .status()
        .expect("the program starts");
    assert!(status.success());
    serde_json::from_str(&fs::read_to_string(&file).expect("a file")).expect("a document")
}

fn run(worker: &str) {
    let status = Command::new(worker)
        .args(COPY)
        .stderr(Stdio::null())
        .status();
    assert!(status.expect("dd starts").success());
}

/// Bytes that were written to tmpfs: what the workers do, and nothing else of theirs.
fn written(snapshot: &Snapshot) -> u64 {
    let paths = snapshot.processes.iter().flat_map(|process| &process.paths);
    paths
        .filter(|path| path.op == "write" && path.object == "file:tmpfs")
        .map(|path| path.totals.moved)
        .sum()
}

const WRITTEN: [&str; 2] = ["op=\"write\"", "object=\"file:tmpfs\""];

#[test]
#[ignore = "needs root and BPF"]
fn prometheus_scrapes_what_stat_counts() {
    let dir = tempfile::tempdir().expect("a directory");
    let workers: Vec<_> = (0..3)
        .map(|i| worker(dir.path(), &format!("zcserve-{i}")))
        .collect();
    let expected = written(&stat(&workers[0]));
    assert_eq!(expected, 200 << 16);
    let instances: Vec<_> = (0..3)
        .map(|i| serve(&format!("zcserve-{i}"), &[]))
        .collect();
    for (index, worker) in workers.iter().enumerate() {
        for _ in 0..=index {
            run(worker);
        }
    }
    for (index, (_, address)) in instances.iter().enumerate() {
        let expected = expected * (index as u64 + 1);
        eventually("counted", || {
            sum(
                &get(address, "/metrics").1,
                "zctrace_moved_bytes_total",
                &WRITTEN,
            ) == expected
        });
    }
    let Ok(prometheus) = which("prometheus") else {
        println!(
            "SKIP: prometheus_scrapes_what_stat_counts: no prometheus here (apt-get install prometheus)"
        );
        return;
    };
    let targets: Vec<_> = instances
        .iter()
        .map(|(_, address)| format!("{address:?}"))
        .collect();
    let config = dir.path().join("prometheus.yml");
    let text = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: zctrace\n  static_configs:\n  - targets: [{}]\n",
        targets.join(", ")
    );
    fs::write(&config, text).expect("written");
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("a port");
    let server = Command::new(prometheus)
        .arg(format!("--config.file={}", config.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            dir.path().join("data").display()
        ))
        .arg(format!("--web.listen-address={port}"))
        .stderr(Stdio::null())
        .spawn()
        .expect("prometheus starts");
    let _server = Running(server);
    let query = "/api/v1/query?query=sum%20by%20(instance)%20(zctrace_moved_bytes_total%7Bop%3D%22write%22%2Cobject%3D%22file%3Atmpfs%22%7D)";
    for (index, (_, address)) in instances.iter().enumerate() {
        let expected = (expected * (index as u64 + 1)).to_string();
        eventually("scraped", || {
            let (_, body) = get(&port.to_string(), query);
            // The body may be chunked; the document is between its braces.
            let document = body.find('{').zip(body.rfind('}'));
            let Some(Ok(value)) =
                document.map(|(a, b)| serde_json::from_str::<Value>(&body[a..=b]))
            else {
                return false;
            };
            value["data"]["result"].as_array().is_some_and(|results| {
                results.iter().any(|result| {
                    result["metric"]["instance"] == **address && result["value"][1] == expected
                })
            })
        });
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn promtool_accepts_rules_and_metrics() {
    let Ok(promtool) = which("promtool") else {
        println!(
            "SKIP: promtool_accepts_rules_and_metrics: no promtool here (apt-get install prometheus)"
        );
        return;
    };
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/alerts.yaml");
    let checked = Command::new(&promtool)
        .args(["check", "rules", rules])
        .output();
    let checked = checked.expect("promtool starts");
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
    let dir = tempfile::tempdir().expect("a directory");
    let worker = worker(dir.path(), "zcserve-tool");
    let (_instance, address) = serve("zcserve-tool", &[]);
    run(&worker);
    eventually("counted", || {
        get(&address, "/metrics").1.contains("zcserve-tool")
    });
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts");
    // promtool reads the older format, which has no end mark and no metadata of units.
    let text: String = get(&address, "/metrics")
        .1
        .lines()
        .filter(|line| !line.starts_with("# EOF") && !line.starts_with("# UNIT"))
        .map(|line| {
            let counter = line
                .strip_suffix(" counter")
                .and_then(|line| line.strip_prefix("# TYPE "));
            match (counter, line.strip_prefix("# HELP ")) {
                (Some(name), _) => format!("# TYPE {name}_total counter\n"),
                (None, Some(help))
                    if !help.starts_with("zctrace_build_info")
                        && !help.starts_with("zctrace_probes") =>
                {
                    let (name, help) = help.split_once(' ').unwrap();
                    format!("# HELP {name}_total {help}\n")
                }
                _ => format!("{line}\n"),
            }
        })
        .collect();
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(text.as_bytes())
        .expect("read");
    let output = child.wait_with_output().expect("an end");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{text}");
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
        let status = fs::read_to_string(task.expect("a thread").path().join("status"));
        let status = status.expect("a status");
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

/// Neither a collector that is not there nor one that never answers holds the readings up.
#[test]
#[ignore = "needs root and BPF"]
fn a_collector_that_does_not_answer_holds_nothing_up() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = format!("http://{}", silent.local_addr().expect("an address"));
    for url in [
        "http://127.0.0.1:1",
        &silent,
        "http://no-such-host.invalid:4318",
    ] {
        let (_instance, address) = serve("zcserve-lost", &["--otlp", url]);
        let value = |name: &str| {
            let (_, text) = get(&address, "/metrics");
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(name).map(str::to_owned));
            line.map_or(0, |value| value.trim().parse::<u64>().expect("a number"))
        };
        let readings = || value("zctrace_readings_total");
        let before = readings();
        eventually("read on", || readings() >= before + 10);
        eventually("counted what was dropped", || {
            value("zctrace_otlp_pushes_total{kind=\"dropped\"}") >= 5
        });
        if url != silent {
            eventually("counted failures", || {
                value("zctrace_otlp_pushes_total{kind=\"failed\"}") >= 1
            });
        }
        assert_eq!(get(&address, "/healthz").0, 200);
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn an_address_in_use_is_said_in_two_lines() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let output = common::run(&["serve", "--listen", &address]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr.lines().count(), 2, "{stderr}");
    assert!(
        stderr.contains(&format!("cannot listen on {address}")),
        "{stderr}"
    );
}

/// A clock that is set forth and back by hours while it is read.
#[test]
#[ignore = "needs root and BPF"]
fn a_clock_that_jumps_changes_no_number() {
    const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
    if !Path::new(LIBRARY).exists() {
        println!("SKIP: a_clock_that_jumps_changes_no_number: no libfaketime here");
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let worker = worker(dir.path(), "zcserve-clock");
    let clock = dir.path().join("clock");
    let file = dir.path().join("clock.zct");
    fs::write(&clock, "-3600").expect("written");
    let real = SystemTime::now();
    let begin = Instant::now();
    let mut recorder = Command::new(zctrace())
        .args(["record", "--no-faults", "--comm", "zcserve-clock"])
        .args(["--interval", "200ms", "-o"])
        .arg(&file)
        .env("LD_PRELOAD", LIBRARY)
        .env("FAKETIME_TIMESTAMP_FILE", &clock)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .spawn()
        .expect("the program starts");
    eventually("begun", || {
        fs::metadata(&file).is_ok_and(|file| file.len() > 0)
    });
    for jump in ["+3600", "-7200", "+0"] {
        fs::write(&clock, jump).expect("written");
        run(&worker);
        thread::sleep(Duration::from_millis(700));
    }
    // As with Ctrl-C.
    let interrupt = Command::new("kill")
        .args(["-INT", &recorder.id().to_string()])
        .status();
    assert!(interrupt.expect("kill starts").success());
    assert!(recorder.wait().expect("an end").success());
    let took = u64::try_from(begin.elapsed().as_nanos()).expect("not that long");
    let output = common::run(&["report", "--json", &file.display().to_string()]);
    let document: Document = serde_json::from_slice(&output.stdout).expect("a document");
    assert_eq!(document.damage, None);
    assert_eq!(written(&document.stat), 3 * (200 << 16));
    assert!((2_000_000_000..took).contains(&document.stat.duration_ns));
    let starts: Vec<_> = document.intervals.iter().map(|i| &i.started_at).collect();
    // The start is the clock's; what follows is counted from there.
    assert!(starts.is_sorted(), "{starts:?}");
    let first: jiff::Timestamp = starts[0].parse().expect("a time");
    let hours = jiff::Timestamp::try_from(real).expect("a time") - first;
    assert!(
        hours.get_seconds() > 3000,
        "the clock was not another: {hours}"
    );
}

fn which(program: &str) -> Result<String, ()> {
    let output = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output();
    let output = output.map_err(|_| ())?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(())
    }
}
