//! The `zctrace` command.

use std::process::{Command, ExitCode};

use clap::Parser;
use zctrace::cli::traffic;
use zctrace::tracer::{Config, Session};

#[derive(Parser)]
enum Cli {
    /// Known traffic.
    Traffic(traffic::Args),
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("traffic") {
        let Cli::Traffic(args) = Cli::parse();
        return traffic::run(&args).unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        });
    }
    trace();
    ExitCode::SUCCESS
}

fn trace() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (opts, cmd) = args.split_at(args.iter().position(|a| a == "--").unwrap_or(args.len()));
    let without = opts
        .iter()
        .filter_map(|o| o.strip_prefix("-x"))
        .map(str::to_owned)
        .collect();
    let config = Config {
        tasks: vec![std::process::id()],
        without,
        faults: !opts.iter().any(|o| o == "--no-faults"),
        ..Config::default()
    };
    let mut session = Session::start(&config).unwrap_or_else(|e| {
        eprintln!("{e}\n{}", e.remedy());
        std::process::exit(3)
    });
    eprintln!("{} {:#?}", session.backend(), session.coverage().refused);
    if cmd.len() > 1 {
        Command::new(&cmd[1]).args(&cmd[2..]).status().unwrap();
    }
    let r = session.read().unwrap();
    for p in &r.processes {
        eprintln!("{} {} {}", p.pid, p.comm, p.total.moved);
        for q in &p.paths {
            let t = serde_json::to_value(q.totals).unwrap();
            let s: Vec<_> = t
                .as_object()
                .unwrap()
                .iter()
                .filter(|(_, v)| v.as_f64() != Some(0.0))
                .map(|(k, v)| format!("{k}={v}"))
                .collect();
            eprintln!("   {} {} {}: {}", q.op, q.object, q.evidence, s.join(" "));
        }
    }
    eprintln!("{:?} {:?}", r.loss, r.overhead);
}
