//! What tracing costs real servers: each is asked the same with nothing attached and beside zctrace, by turns.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::{
    hooks::{self, Empty, Hook},
    load::Request,
    tracer::{self, Tracer},
};

/// Measure what tracing costs real servers.
#[derive(Args)]
pub(crate) struct Options {
    /// zctrace.
    #[arg(long)]
    zctrace: PathBuf,
    /// nginx.
    #[arg(long)]
    nginx: Option<PathBuf>,
    /// redis-server.
    #[arg(long)]
    redis: Option<PathBuf>,
    /// fio.
    #[arg(long)]
    fio: Option<PathBuf>,
    /// How often everything is measured.
    #[arg(long)]
    runs: u32,
}

/// What runs beside the server, in the order of a round.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    /// zctrace traces the server.
    Traced,
    /// zctrace traces another process.
    Another,
    /// Programs that do nothing, wherever zctrace had one.
    Floor,
    /// Nothing once more: how far two measurements of one thing lie apart.
    Again,
}

impl Beside {
    const ALL: [Self; 5] = [
        Self::Nothing,
        Self::Traced,
        Self::Another,
        Self::Floor,
        Self::Again,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Traced => "traced",
            Self::Another => "another",
            Self::Floor => "floor",
            Self::Again => "again",
        }
    }
}

/// One measurement.
struct Measured {
    /// Requests a second.
    rate: f64,
    /// Processor time of the server for each request, in seconds.
    cpu: f64,
    /// Within which half, and 99 %, of the answers came, in seconds.
    p50: f64,
    p99: f64,
    /// Bytes that the server moved, all of which zctrace has to see.
    bytes: f64,
}

/// A server and what it is asked.
struct Work {
    name: String,
    /// How zctrace is told to trace it.
    target: Vec<String>,
    measure: Box<dyn FnMut() -> Result<Measured>>,
}

/// Measures, and prints a document.
pub(crate) fn run(options: &Options) -> Result<()> {
    let directory = tempfile::Builder::new()
        .prefix("tracing-cost-")
        .tempdir_in("/var/tmp")?;
    // nginx' worker is another user.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(directory.path(), open)?;
    let mut other = Tracer::new(Command::new("sleep").arg("100000").spawn()?);
    let places = places(options, directory.path())?;
    let mut missing = Vec::new();
    let mut works = Vec::new();
    let mut servers = Vec::new();
    match &options.nginx {
        Some(program) => nginx(program, directory.path(), &mut servers, &mut works)?,
        None => missing.push("nginx"),
    }
    match &options.redis {
        Some(program) => redis(program, directory.path(), &mut servers, &mut works)?,
        None => missing.push("redis-server"),
    }
    match &options.fio {
        Some(program) => works.push(fio(program, directory.path())?),
        None => missing.push("fio"),
    }
    let mut rows = Vec::new();
    for work in &mut works {
        eprintln!("measuring {}", work.name);
        (work.measure)()?;
        for round in 0..options.runs {
            for turn in 0..Beside::ALL.len() {
                // Each is first in some round.
                let beside = Beside::ALL[(turn + round as usize) % Beside::ALL.len()];
                let pid = other.child.id();
                rows.push(once(
                    options,
                    directory.path(),
                    work,
                    beside,
                    round,
                    pid,
                    &places,
                )?);
            }
        }
    }
    other.end()?;
    let document = json!({
        "kernel": nix::sys::utsname::uname()?.release().to_string_lossy(),
        "programs": places.len(),
        "measured": rows,
        "missing": missing,
    });
    println!("{document}");
    Ok(())
}

/// Where zctrace attaches programs here.
fn places(options: &Options, directory: &Path) -> Result<Vec<Hook>> {
    let me = std::process::id().to_string();
    let mut tracer = tracer::zctrace(&options.zctrace, directory, &["-p", &me])?;
    let attached = hooks::attached()?;
    tracer.end()?;
    ensure!(!attached.is_empty(), "zctrace attached no program");
    Ok(attached.into_iter().map(|one| one.hook).collect())
}

fn once(
    options: &Options,
    directory: &Path,
    work: &mut Work,
    beside: Beside,
    round: u32,
    other: u32,
    places: &[Hook],
) -> Result<Value> {
    let other = ["-p".to_owned(), other.to_string()];
    let mut tracer = match beside {
        Beside::Traced => Some(&work.target[..]),
        Beside::Another => Some(&other[..]),
        Beside::Nothing | Beside::Floor | Beside::Again => None,
    }
    .map(|arguments| {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        tracer::zctrace(&options.zctrace, directory, &arguments)
    })
    .transpose()?;
    let empty = if beside == Beside::Floor {
        let all = places.iter().map(|place| Empty::attach(*place));
        all.collect::<Result<Vec<_>>>()?
    } else {
        Vec::new()
    };
    let measured = (work.measure)()?;
    let was_attached = tracer.is_some() || !empty.is_empty();
    drop(empty);
    let mut seen = Value::Null;
    let mut backend = Value::Null;
    if let Some(tracer) = &mut tracer {
        tracer.end()?;
        let mut report = tracer.report()?;
        backend = report["backend"].take();
        if beside == Beside::Traced {
            let moved = report["total"]["moved"].as_f64().context("its total")?;
            seen = (moved / measured.bytes).into();
        }
    } else if was_attached {
        // Programs are freed after a grace period.
        thread::sleep(Duration::from_secs(1));
    }
    Ok(json!({
        "work": work.name,
        "beside": beside.name(),
        "round": round,
        "backend": backend,
        "requests_per_second": measured.rate,
        "cpu_seconds_per_request": measured.cpu,
        "p50_seconds": measured.p50,
        "p99_seconds": measured.p99,
        "seen": seen,
    }))
}

/// A server that runs until this is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.0.id()) {
            // nginx' master ends its worker when it is asked to.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let _ = self.0.wait();
    }
}

/// Starts a server and waits until it listens.
fn start(command: &mut Command, port: u16) -> Result<Server> {
    let mut server = Server(
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", command.get_program().display()))?,
    );
    let begin = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if let Some(status) = server.0.try_wait()? {
            bail!("{}: {status}", command.get_program().display());
        }
        ensure!(begin.elapsed() < Duration::from_secs(20), "nobody listens");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(server)
}

/// A port that nobody uses.
fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    Ok(listener.local_addr()?.port())
}

/// One worker, with and without sendfile, small and large bodies.
fn nginx(
    program: &Path,
    directory: &Path,
    servers: &mut Vec<Server>,
    works: &mut Vec<Work>,
) -> Result<()> {
    for (name, bytes) in [("4k", 4 << 10), ("1m", 1 << 20)] {
        fs::write(directory.join(name), vec![b'z'; bytes])?;
    }
    for sendfile in ["on", "off"] {
        let port = free_port()?;
        let root = directory.display();
        let configuration = directory.join(format!("nginx-{sendfile}.conf"));
        fs::write(
            &configuration,
            format!(
                "daemon off; worker_processes 1; pid {root}/nginx-{sendfile}.pid; error_log stderr crit;\n\
                 events {{ worker_connections 64; }}\n\
                 http {{ access_log off; sendfile {sendfile}; keepalive_requests 100000000;\n\
                 client_body_temp_path {root}/b; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f;\n\
                 uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;\n\
                 server {{ listen 127.0.0.1:{port}; root {root}; }} }}\n"
            ),
        )?;
        let mut command = Command::new(program);
        servers.push(start(command.arg("-c").arg(&configuration), port)?);
        let master = servers.last().context("the server")?.0.id();
        for (body, shown, size, requests) in [
            ("4k", "4 KiB", 4 << 10, 24_000),
            ("1m", "1 MiB", 1 << 20, 1600),
        ] {
            // Without sendfile each body is read before it is sent.
            let read = if sendfile == "off" { size } else { 0 };
            let request = Request {
                port,
                bytes: format!("GET /{body} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes(),
            };
            let name = format!("nginx, sendfile {sendfile}, {shown}");
            works.push(asked(
                name,
                request,
                requests,
                b"HTTP/1.1 200",
                read,
                master,
            )?);
        }
    }
    Ok(())
}

/// GET of a value of 4 KiB.
fn redis(
    program: &Path,
    directory: &Path,
    servers: &mut Vec<Server>,
    works: &mut Vec<Work>,
) -> Result<()> {
    let port = free_port()?;
    let mut command = Command::new(program);
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(directory);
    servers.push(start(&mut command, port)?);
    let pid = servers.last().context("the server")?.0.id();
    let value = "z".repeat(4 << 10);
    let set = format!(
        "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n{value}\r\n",
        value.len()
    );
    let set = Request {
        port,
        bytes: set.into_bytes(),
    };
    ensure!(set.answer()? == b"+OK\r\n", "redis did not take the value");
    let get = Request {
        port,
        bytes: b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n".to_vec(),
    };
    works.push(asked(
        "redis, GET of 4 KiB".to_owned(),
        get,
        60_000,
        b"$4096",
        0,
        pid,
    )?);
    Ok(())
}

/// A server that is asked over TCP. Its answer begins as it must, and it reads so many bytes from a file for each.
fn asked(
    name: String,
    request: Request,
    requests: u32,
    begins: &[u8],
    read: usize,
    pid: u32,
) -> Result<Work> {
    let answer = request.answer()?;
    ensure!(answer.starts_with(begins), "{name}: not the answer");
    let length = answer.len();
    let port = request.port.to_string();
    Ok(Work {
        name,
        target: vec!["--port".to_owned(), port],
        measure: Box::new(move || {
            let before = processor_time(pid)?;
            let answered = request.ask(requests, length)?;
            let asked = f64::from(answered.requests);
            Ok(Measured {
                rate: asked / answered.seconds,
                cpu: (processor_time(pid)? - before) / asked,
                p50: answered.within(0.5),
                p99: answered.within(0.99),
                bytes: asked * (length + request.bytes.len() + read) as f64,
            })
        }),
    })
}

/// Random reads of 4 KiB from the page cache.
fn fio(program: &Path, directory: &Path) -> Result<Work> {
    const SIZE: usize = 64 << 20;
    const READS: u32 = 300_000;
    let file = directory.join("fio");
    fs::write(&file, vec![b'z'; SIZE])?;
    let program = program.to_owned();
    Ok(Work {
        name: "fio, random reads of 4 KiB".to_owned(),
        target: vec!["--comm".to_owned(), "fio".to_owned()],
        measure: Box::new(move || {
            let output = Command::new(&program)
                .args([
                    "--name=reads",
                    "--rw=randread",
                    "--bs=4k",
                    "--ioengine=psync",
                ])
                .args([
                    "--thread",
                    "--norandommap",
                    "--invalidate=0",
                    "--output-format=json",
                ])
                .arg(format!("--io_size={}", u64::from(READS) * 4096))
                .arg(format!("--filename={}", file.display()))
                .stdin(Stdio::null())
                .output()
                .context("running fio")?;
            ensure!(output.status.success(), "fio: {}", output.status);
            let report: Value = serde_json::from_slice(&output.stdout).context("its report")?;
            let job = &report["jobs"][0];
            let number = |value: &Value| value.as_f64().context("fio's report");
            let read = &job["read"];
            let percent = number(&job["usr_cpu"])? + number(&job["sys_cpu"])?;
            let (seconds, reads) = (number(&read["runtime"])? / 1e3, number(&read["total_ios"])?);
            let within = |part: &str| number(&read["clat_ns"]["percentile"][part]);
            Ok(Measured {
                rate: number(&read["iops"])?,
                cpu: percent / 100.0 * seconds / reads,
                p50: within("50.000000")? / 1e9,
                p99: within("99.000000")? / 1e9,
                bytes: reads * 4096.0,
            })
        }),
    })
}

/// Processor time of a process and its children that live, in seconds: Documentation/scheduler/sched-stats.rst.
fn processor_time(pid: u32) -> Result<f64> {
    let mut nanoseconds = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let path = task?.path();
        let text = fs::read_to_string(path.join("schedstat"))?;
        let field = text.split_whitespace().next().context("its time")?;
        nanoseconds += field.parse::<u64>()?;
        let children = fs::read_to_string(path.join("children")).unwrap_or_default();
        for child in children.split_whitespace() {
            nanoseconds += (processor_time(child.parse()?)? * 1e9) as u64;
        }
    }
    Ok(nanoseconds as f64 / 1e9)
}
