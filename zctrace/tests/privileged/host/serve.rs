//! Metrics and what fleets have: a real Prometheus server that scrapes several instances under load
//! has what `stat` counts; collectors that do not answer and clocks that jump hold nothing up.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use crate::common::{
    attached::Attached,
    serve::{
        Bytes, Running, await_served, bytes_of, eventually, generator, get, run, serve, started,
        sum, worker,
    },
    which,
};
use serde_json::Value;

/// The answer of Prometheus to a query: each result with its labels and its value.
fn ask(prometheus: &str, query: &str) -> Vec<(Value, String)> {
    let (_, body) = get(prometheus, &format!("/api/v1/query?query={query}"));
    // The body may be chunked, in pieces that are no part of the document.
    let document = body.find('{').zip(body.rfind('}'));
    let text: String = document.map_or_else(String::new, |(a, b)| {
        let lines = body[a..=b].split("\r\n").enumerate();
        lines
            .filter(|(index, _)| index % 2 == 0)
            .map(|(_, line)| line)
            .collect()
    });
    let document: Value = serde_json::from_str(&text).unwrap_or_default();
    let results = document["data"]["result"].as_array().cloned();
    results
        .unwrap_or_default()
        .into_iter()
        .map(|result| {
            let value = result["value"][1].as_str().unwrap_or_default().to_owned();
            (result["metric"].clone(), value)
        })
        .collect()
}

#[test]
#[ignore = "needs root and BPF"]
fn prometheus_scrapes_three_instances_under_load_and_has_what_stat_counts() {
    const LOADS: [&[&str]; 3] = [
        &["sendfile-tcp", "pipe"],
        &["tcp", "file-tmpfs"],
        &["zc-tcp", "splice-tcp"],
    ];
    let Some(prometheus) = which("prometheus") else {
        println!(
            "SKIP: prometheus_scrapes_three_instances_under_load_and_has_what_stat_counts: no prometheus here (apt-get install prometheus)"
        );
        return;
    };
    let dir = tempfile::tempdir().expect("a directory");
    let names = ["zcserve-0", "zcserve-1", "zcserve-2"];
    let instances = names.map(|name| serve(name, &[]));
    let stats = names.map(|name| {
        let file = dir.path().join(format!("{name}.json"));
        let path = file.display().to_string();
        let options = ["stat", "--json", "--no-faults", "--comm", name, "-o", &path];
        (Attached::start(&options), file)
    });
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
        .expect("a port")
        .to_string();
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
    eventually("all up", || {
        ask(&port, "up").iter().filter(|(_, up)| up == "1").count() == 3
    });

    // All at once, while it scrapes.
    let loads: Vec<_> = names
        .iter()
        .zip(LOADS)
        .map(|(name, load)| {
            let program = generator(dir.path(), name);
            let load = move || {
                for _ in 0..4 {
                    let run = Command::new(&program)
                        .args(["traffic", "--bytes", "8388608"])
                        .args(load)
                        .output()
                        .expect("it starts");
                    assert!(run.status.success(), "{run:?}");
                }
            };
            thread::spawn(load)
        })
        .collect();
    for load in loads {
        load.join().expect("a load that works");
    }
    for ((instance, (_, address)), (stat, file)) in instances.iter().enumerate().zip(stats) {
        // It reads once more when it is interrupted; what serve reads comes by itself.
        let output = stat.interrupt();
        assert!(output.status.success(), "{output:?}");
        let text = fs::read_to_string(file).expect("a file");
        let expected = bytes_of(&serde_json::from_str(&text).expect("a document"));
        let moved: u64 = expected.values().sum();
        assert!(moved > 4 * 2 * (8 << 20), "{instance}: {expected:#?}");
        await_served(address, &expected);
        let query = format!(
            "%7B__name__%3D~%22zctrace_(moved%7Cfurther)_bytes_total%22%2Cinstance%3D%22{address}%22%7D"
        );
        eventually("scraped what stat counts", || {
            let mut scraped = Bytes::new();
            for (labels, value) in ask(&port, &query) {
                let label = |name: &str| labels[name].as_str().expect("a label").to_owned();
                let labels = ["op", "object", "evidence", "class"].map(label);
                *scraped.entry(labels).or_default() += value.parse::<u64>().expect("a number");
            }
            scraped == expected
        });
    }
    // No scrape saw a sum smaller than the one before it, and none was refused.
    let resets = "sum(resets(zctrace_moved_bytes_total%5B10m%5D))";
    assert_eq!(ask(&port, resets)[0].1, "0");
    let failed = ask(&port, "min(min_over_time(up%5B10m%5D))");
    assert_eq!(failed[0].1, "1");
}

/// The queries of a dashboard as recording rules, which promtool can check.
fn queries_as_rules(dashboard: &str) -> String {
    let dashboard: Value = serde_json::from_str(dashboard).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let rules: Vec<_> = targets
        .enumerate()
        .map(|(number, target)| {
            let query = target["expr"].as_str().expect("a query");
            let query = query.replace("$__rate_interval", "5m");
            serde_json::json!({"record": format!("panel:{number}"), "expr": query})
        })
        .collect();
    assert!(rules.len() >= 5, "{rules:?}");
    // JSON is YAML.
    serde_json::json!({"groups": [{"name": "panels", "rules": rules}]}).to_string()
}

#[test]
#[ignore = "needs root and BPF"]
fn promtool_accepts_rules_and_metrics() {
    let Some(promtool) = which("promtool") else {
        println!(
            "SKIP: promtool_accepts_rules_and_metrics: no promtool here (apt-get install prometheus)"
        );
        return;
    };
    let dir = tempfile::tempdir().expect("a directory");
    let packaging = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging"));
    let alerts = packaging.join("alerts.yaml");
    let panels = dir.path().join("panels.yaml");
    let dashboard = fs::read_to_string(packaging.join("grafana.json")).expect("a file");
    fs::write(&panels, queries_as_rules(&dashboard)).expect("written");
    let checked = Command::new(&promtool)
        .args(["check", "rules"])
        .args([&alerts, &panels])
        .output();
    let checked = checked.expect("promtool starts");
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
    let worker = worker(dir.path(), "zcserve-tool");
    let policy = dir.path().join("policy.toml");
    let claim = "[[claim]]\nname = \"read copies\"\npath = \"read\"\nmax-copies-per-byte = 0.1\n";
    fs::write(&policy, claim).expect("written");
    let policy = policy.to_str().expect("a name of text");
    let (_instance, address) = serve("zcserve-tool", &["--policy", policy]);
    run(&worker);
    eventually("counted", || {
        get(&address, "/metrics").1.contains("zcserve-tool")
    });
    eventually("judged", || {
        get(&address, "/metrics")
            .1
            .contains("claim=\"read copies\"")
    });
    // What they ask for is there.
    let served = get(&address, "/metrics").1;
    for asked in [alerts, panels] {
        let text = fs::read_to_string(asked).expect("a file");
        let names = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let names: BTreeSet<_> = names
            .filter(|name| name.starts_with("zctrace_"))
            .map(|name| name.strip_suffix("_total").unwrap_or(name))
            .collect();
        assert!(names.len() >= 2, "{names:?}");
        for name in names {
            // A family without series is left out, and these copy nothing beside what they move.
            let empty = name == "zctrace_further_bytes";
            assert!(
                empty || served.contains(&format!("# TYPE {name} ")),
                "{name}"
            );
        }
    }
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts");
    // promtool reads the older format, which has no end mark and no metadata of units.
    let (_, metrics) = get(&address, "/metrics");
    let gauges: Vec<_> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" gauge"))
        .collect();
    let text: String = metrics
        .lines()
        .filter(|line| !line.starts_with("# EOF") && !line.starts_with("# UNIT"))
        .map(|line| {
            let counter = line
                .strip_suffix(" counter")
                .and_then(|line| line.strip_prefix("# TYPE "));
            match (counter, line.strip_prefix("# HELP ")) {
                (Some(name), _) => format!("# TYPE {name}_total counter\n"),
                (None, Some(help)) => {
                    let (name, help) = help.split_once(' ').unwrap();
                    let is_gauge = gauges.contains(&name);
                    let total = if is_gauge { "" } else { "_total" };
                    format!("# HELP {name}{total} {help}\n")
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

/// What scrapes over a network: TLS, a token, and a certificate that is checked.
#[test]
#[ignore = "needs root and BPF"]
fn curl_checks_the_certificate_and_brings_the_token() {
    let Some(curl) = which("curl") else {
        println!(
            "SKIP: curl_checks_the_certificate_and_brings_the_token: no curl here (apt-get install curl)"
        );
        return;
    };
    let dir = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("made");
    let certificate = file("cert.pem", &made.cert.pem());
    let key = file("key.pem", &made.signing_key.serialize_pem());
    let token = file("token", "secret\n");
    let worker = worker(dir.path(), "zcserve-tls");
    let (_instance, url) = started(
        "zcserve-tls",
        &[
            "--tls-cert",
            &certificate,
            "--tls-key",
            &key,
            "--token-file",
            &token,
        ],
    );
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");
    let ask_for = |path: &str, options: &[&str]| {
        let output = Command::new(&curl)
            .args(["--silent", "--max-time", "60", "--noproxy", "*"])
            .args(["--write-out", "\n%{http_code}"])
            .args(options)
            .arg(url.replace("/metrics", path))
            .output()
            .expect("curl starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').expect("a status");
        (output.status.code(), status.to_owned(), body.to_owned())
    };
    let ask = |options: &[&str]| ask_for("/metrics", options);
    let trusted = ["--cacert", &certificate];
    // Health needs no token.
    eventually("ready", || ask_for("/readyz", &trusted).1 == "200");
    run(&worker);
    let bearer = ["--header", "Authorization: Bearer secret"];
    eventually("counted", || {
        let (code, status, body) = ask(&[trusted, bearer].concat());
        assert_eq!((code, status.as_str()), (Some(0), "200"), "{body}");
        body.contains("comm=\"zcserve-tls\"")
    });
    let (code, status, body) = ask(&trusted);
    assert_eq!((code, status.as_str()), (Some(0), "401"), "{body}");
    // 60: the certificate's authority is not known.
    let (code, ..) = ask(&bearer);
    assert_eq!(code, Some(60));
    let plain = url.replace("https://", "http://");
    let output = Command::new(&curl)
        .args(["--silent", "--max-time", "60", "--noproxy", "*", &plain])
        .output()
        .expect("curl starts");
    assert!(!output.status.success(), "{output:?}");
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

/// More clients than it lets in at a time.
#[test]
#[ignore = "needs root and BPF"]
fn too_many_clients_do_not_end_it() {
    let (instance, address) = serve("zcserve-crowd", &[]);
    answers_in_a_crowd_of(100, &instance, &address);
}

/// More clients than there are descriptors.
#[test]
#[ignore = "needs root and BPF"]
fn too_few_descriptors_do_not_end_it() {
    // Fewer than the connections it takes at a time, and enough for reading `/proc` in the meantime.
    const FREE: usize = 16;
    let (instance, address) = serve("zcserve-fds", &[]);
    let pid = instance.0.id();
    let taken: BTreeSet<usize> = fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("descriptors")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    // The limit is on their numbers, and they have gaps.
    let most = (0..).filter(|number| !taken.contains(number)).nth(FREE);
    let most = most.expect("numbers do not end") as u64;
    let limit = libc::rlimit {
        rlim_cur: most,
        rlim_max: most,
    };
    // SAFETY: the limit is read and nothing is written.
    let set = unsafe {
        libc::prlimit(
            pid.cast_signed(),
            libc::RLIMIT_NOFILE,
            &raw const limit,
            std::ptr::null_mut(),
        )
    };
    assert_eq!(set, 0);
    answers_in_a_crowd_of(FREE + 8, &instance, &address);
}

/// Clients that never say what they want: one that does gets its answer while they are still there.
fn answers_in_a_crowd_of(clients: usize, instance: &Running, address: &str) {
    let crowd: Vec<_> = (0..clients)
        .map(|_| {
            let mut client = TcpStream::connect(address).expect("a connection");
            client.write_all(b"GET /met").expect("half a request");
            client
        })
        .collect();
    let mut asking = TcpStream::connect(address).expect("a connection");
    asking
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("a request");
    let mut answer = String::new();
    asking
        .set_read_timeout(Some(Duration::from_secs(120)))
        .expect("a time");
    asking.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(get(address, "/metrics").0, 200);
    // However many there are, they cost no threads.
    let threads = fs::read_dir(format!("/proc/{}/task", instance.0.id()))
        .expect("threads")
        .count();
    assert!(threads <= 3, "{threads} threads");
    drop(crowd);
}

#[test]
#[ignore = "needs root and BPF"]
fn an_address_in_use_is_said_in_two_lines() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let output = crate::common::run(&["serve", "--listen", &address]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr.lines().count(), 2, "{stderr}");
    assert!(
        stderr.contains(&format!("cannot listen on {address}")),
        "{stderr}"
    );
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

/// Bytes of the maps that a process has open, as the kernel charges them, on two processors: those that have a value for
/// each processor are as much smaller or larger elsewhere.
fn bytes_of_maps(pid: u32) -> u64 {
    /// `BPF_MAP_TYPE_PERCPU_HASH`, `_PERCPU_ARRAY` and `_LRU_PERCPU_HASH` of include/uapi/linux/bpf.h.
    const PER_PROCESSOR: [u64; 3] = [5, 6, 10];
    let processors = fs::read_to_string("/sys/devices/system/cpu/possible").expect("readable");
    let last = processors.trim().rsplit(['-', ',']).next();
    let processors = 1 + last
        .expect("a processor")
        .parse::<u64>()
        .expect("its number");
    let mut maps = BTreeMap::new();
    for descriptor in fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("descriptors") {
        let text = fs::read_to_string(descriptor.expect("a descriptor").path());
        let Ok(text) = text else { continue };
        let number = |name: &str| -> Option<u64> {
            let line = text.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        let (Some(id), Some(kind)) = (number("map_id:"), number("map_type:")) else {
            continue;
        };
        let bytes = number("memlock:").expect("what it takes");
        let on_two = if PER_PROCESSOR.contains(&kind) {
            bytes * 2 / processors
        } else {
            bytes
        };
        maps.insert(id, on_two);
    }
    assert!(maps.len() > 20, "{maps:?}");
    maps.values().sum()
}

#[test]
#[ignore = "needs root and BPF"]
fn an_idle_instance_takes_little_memory() {
    let (instance, _) = serve("zcserve-idle", &[]);
    let pid = instance.0.id();
    let maps = bytes_of_maps(pid);
    assert!(maps <= 16 << 20, "{maps} bytes of maps");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("readable");
    let own = status.lines().find(|line| line.starts_with("RssAnon:"));
    let own = own.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    let own: u64 = own.expect("its memory");
    assert!(own <= 32 << 10, "{own} KiB of its own");
}

#[test]
#[ignore = "needs root and BPF"]
fn processes_that_come_and_go_leave_nothing() {
    const ROUNDS: usize = 2;
    // What one process in some hundred does, such as a fault beside a copy, becomes a series when it happens first.
    const RARE: usize = 8;
    let dir = tempfile::tempdir().expect("a directory");
    let worker = worker(dir.path(), "zcserve-many");
    let (instance, address) = serve("zcserve-many", &[]);
    let series = || {
        get(&address, "/metrics")
            .1
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned()))
            .collect::<BTreeSet<_>>()
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
    let many = |count: u64| {
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
    let first = 1000;
    many(first);
    counted(first);
    let series_before = series();
    many(9 * first);
    counted(10 * first);
    // What grows with processes grows in every round. The code of what is sampled is read once, in any of them.
    let mut done = 10;
    let grown = [(); ROUNDS].map(|()| {
        let before = memory();
        many(9 * first);
        done += 9;
        counted(done * first);
        memory().saturating_sub(before)
    });
    let new: Vec<_> = series().difference(&series_before).cloned().collect();
    assert!(new.len() <= RARE, "{new:#?}");
    assert!(grown.iter().any(|kib| *kib < 4096), "KiB: {grown:?}");
    let text = get(&address, "/metrics").1;
    assert_eq!(sum(&text, "zctrace_lost_events_total", &["map_full"]), 0);
}
