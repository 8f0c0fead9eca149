//! What system calls cost: with nothing attached, with zctrace attached to this process, to another, to
//! all, and with bpftrace.

use std::{path::PathBuf, process::Command, thread, time::Duration};

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::{Map, Value, json};

use crate::{
    hooks::{self, Empty, Hook, Names, Statistics},
    operations::{self, CALLS, Operation},
    tracer::{self, Tracer},
};

/// Measure what system calls cost.
#[derive(Args)]
pub(crate) struct Options {
    /// A directory on tmpfs for the files.
    #[arg(long)]
    directory: PathBuf,
    /// A disk for a filesystem; what is on it is lost.
    #[arg(long)]
    disk: PathBuf,
    /// zctrace.
    #[arg(long)]
    zctrace: PathBuf,
    /// bpftrace, if it is to be compared.
    #[arg(long)]
    bpftrace: Option<PathBuf>,
    /// A probe to measure without.
    #[arg(long)]
    without: Vec<String>,
    /// An operation to measure, instead of all.
    #[arg(long)]
    operation: Vec<String>,
}

/// Measures, and prints a document.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut operations = operations::all(&options.directory, &options.disk)?;
    if !options.operation.is_empty() {
        operations.retain(|one| options.operation.iter().any(|name| name == one.name));
    }
    let me = std::process::id().to_string();
    let mut other = Tracer::new(
        Command::new("sleep")
            .arg("100000")
            .spawn()
            .context("sleep")?,
    );
    let other_pid = other.child.id().to_string();

    let mut results = vec![untraced("nothing", &mut operations)?];
    let mut places = Vec::new();
    for (name, arguments) in [
        ("target", &["-p", &me][..]),
        ("other", &["-p", &other_pid]),
        ("target-no-faults", &["-p", &me, "--no-faults"]),
        ("system", &[]),
    ] {
        let shown = format!("zctrace stat {}", arguments.join(" "));
        let tracer = tracer::zctrace(&options.zctrace, &options.directory, arguments);
        if name == "target" && tracer.is_ok() {
            places = hooks::attached()?.into_iter().map(|one| one.hook).collect();
        }
        results.push(traced(name, shown.trim_end(), tracer, &mut operations)?);
    }
    results.push(floor(&places, &mut operations)?);
    for probe in &options.without {
        let arguments = ["-p", &me, "--without-probe", probe];
        let shown = format!("zctrace stat {}", arguments.join(" "));
        let tracer = tracer::zctrace(&options.zctrace, &options.directory, &arguments);
        results.push(traced(
            &format!("without {probe}"),
            &shown,
            tracer,
            &mut operations,
        )?);
    }
    if let Some(program) = &options.bpftrace {
        const SCRIPT: &str = "kretfunc:shmem_file_read_iter { @[pid] = sum(retval); }";
        let shown = format!("bpftrace -e '{SCRIPT}'");
        let tracer = tracer::bpftrace(program, SCRIPT);
        results.push(traced("bpftrace", &shown, tracer, &mut operations)?);
    }
    // What was detached must have left nothing behind.
    results.push(untraced("nothing-again", &mut operations)?);
    other.end()?;

    let described: Vec<_> = operations
        .iter()
        .map(|operation| json!({"name": operation.name, "about": operation.about}))
        .collect();
    let document = json!({"operations": described, "configurations": results});
    println!("{document}");
    Ok(())
}

fn untraced(name: &str, operations: &mut [Operation]) -> Result<Value> {
    Ok(json!({"name": name, "instructions": measure(operations)?}))
}

/// Measures with programs that do nothing, wherever zctrace had one: what the kernel takes to call it.
fn floor(places: &[Hook], operations: &mut [Operation]) -> Result<Value> {
    let command = format!("{} empty programs", places.len());
    eprintln!("measuring with {command}");
    let empty = places
        .iter()
        .map(|hook| Empty::attach(*hook))
        .collect::<Result<Vec<_>>>()?;
    let result = json!({
        "name": "floor",
        "command": command,
        "instructions": measure(operations)?,
        "hooks": passed(operations)?,
    });
    drop(empty);
    // Programs are freed after a grace period.
    thread::sleep(Duration::from_secs(1));
    Ok(result)
}

/// The programs that run in each operation: how often in a call, and for how many instructions each time. The kernel's
/// own statistics are part of those, so they are switched on only now.
fn passed(operations: &mut [Operation]) -> Result<Map<String, Value>> {
    let kernel = Names::new()?;
    let attached = hooks::attached()?;
    let counts = || {
        attached
            .iter()
            .map(hooks::Attached::runs)
            .collect::<Result<Vec<_>>>()
    };
    let _statistics = Statistics::new()?;
    let mut passed = Map::new();
    for operation in operations {
        operation.round()?;
        // Asking takes system calls too: as many each time.
        let (first, second) = (counts()?, counts()?);
        operation.round()?;
        let third = counts()?;
        let asked = first.iter().zip(second).zip(third);
        let hooks: Vec<Value> = attached
            .iter()
            .zip(asked)
            .filter_map(|(attached, ((first, second), third))| {
                let runs = (third.0 - second.0).saturating_sub(second.0 - first.0);
                let ns = (third.1 - second.1).saturating_sub(second.1 - first.1);
                let hook = attached.hook;
                // Fewer are of something else that happened meanwhile, such as a timer.
                (runs as usize >= CALLS / 10).then(|| {
                    json!({
                        "kind": hook.kind(),
                        "function": hook.name(&kernel),
                        "runs": runs as f64 / CALLS as f64,
                        "instructions": ns as f64 / runs as f64,
                    })
                })
            })
            .collect();
        passed.insert(operation.name.to_owned(), hooks.into());
    }
    Ok(passed)
}

/// Measures with a tracer, and ends it. One that does not attach is part of the result.
fn traced(
    name: &str,
    command: &str,
    tracer: Result<Tracer>,
    operations: &mut [Operation],
) -> Result<Value> {
    eprintln!("measuring with {command}");
    let mut tracer = match tracer {
        Ok(tracer) => tracer,
        Err(error) => {
            let reason = format!("{error:#}");
            let none = json!({});
            return Ok(
                json!({"name": name, "command": command, "reason": reason, "instructions": none}),
            );
        }
    };
    let instructions = measure(operations)?;
    let hooks = passed(operations)?;
    tracer.end()?;
    let report = tracer.report()?;
    Ok(json!({
        "name": name,
        "command": command,
        "instructions": instructions,
        "hooks": hooks,
        "backend": report["backend"],
        "probes": report["coverage"]["attached"].as_array().map(Vec::len),
    }))
}

fn measure(operations: &mut [Operation]) -> Result<Map<String, Value>> {
    let mut instructions = Map::new();
    for operation in operations {
        instructions.insert(operation.name.to_owned(), operation.measure()?.into());
    }
    Ok(instructions)
}
