//! `cargo xtask bench cost`: instructions per system call, the same figure on every machine.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::guest;
use crate::{
    arch::Arch,
    binaries, paths,
    setup::{self, Purpose},
    vm::{self, Guest, Series},
};

/// Count the instructions tracing adds to system calls.
///
/// Boots a kernel on an emulated processor on which a nanosecond is an instruction, and measures
/// there with nothing attached, with zctrace attached to the process that makes the calls, to
/// another one, and to the whole machine, and with bpftrace doing a far smaller job.
#[derive(Args)]
pub(crate) struct Options {
    /// The kernel to measure on.
    #[arg(long, default_value = "6.12", value_parser = Series::parse)]
    kernel: Series,
    /// Measure also without this probe, to see what it costs. May be given again.
    #[arg(long, value_name = "PROBE")]
    without: Vec<String>,
    /// Measure this operation only, one of the table's columns. May be given again.
    #[arg(long, value_name = "NAME")]
    operation: Vec<String>,
    /// Show each program that runs in this operation, how often, and what it costs. May be given again.
    #[arg(long, value_name = "OPERATION")]
    explain: Vec<String>,
    /// Print a JSON document (schema zctrace.bench.cost/1).
    #[arg(long)]
    json: bool,
    /// The zctrace to measure, instead of building one: linked statically.
    #[arg(long, hide = true)]
    zctrace: Option<PathBuf>,
}

/// What `tracing-cost` prints.
#[derive(Deserialize)]
struct Measured {
    operations: Vec<Operation>,
    configurations: Vec<Configuration>,
}

#[derive(Serialize, Deserialize)]
struct Operation {
    name: String,
    about: String,
}

#[derive(Serialize, Deserialize)]
struct Configuration {
    name: String,
    #[serde(default)]
    command: Option<String>,
    /// Why it could not be measured.
    #[serde(default)]
    reason: Option<String>,
    /// How zctrace traced.
    #[serde(default)]
    backend: Option<String>,
    /// How many probes it had attached.
    #[serde(default)]
    probes: Option<u32>,
    /// Per call of each operation.
    instructions: serde_json::Map<String, serde_json::Value>,
    /// The programs that run in each operation.
    #[serde(default)]
    hooks: BTreeMap<String, Vec<Hook>>,
}

/// A program that runs in an operation.
#[derive(Serialize, Deserialize)]
struct Hook {
    /// How it is attached.
    kind: String,
    /// Where: a function or a tracepoint.
    function: String,
    /// How often it runs in a call.
    runs: f64,
    /// What a run takes by the kernel's own statistics, which are part of it.
    instructions: f64,
}

impl Configuration {
    fn of(&self, operation: &str) -> Option<f64> {
        self.instructions.get(operation)?.as_f64()
    }

    /// How many programs run in a call.
    fn runs(&self, operation: &str) -> Option<f64> {
        let hooks = self.hooks.get(operation)?;
        Some(hooks.iter().map(|hook| hook.runs).sum())
    }
}

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    kernel: String,
    operations: Vec<Operation>,
    configurations: Vec<Configuration>,
    /// What each configuration adds to an operation, and by what it multiplies its cost.
    differences: Vec<Difference>,
}

#[derive(Serialize)]
struct Difference {
    operation: String,
    configuration: String,
    added: f64,
    ratio: f64,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    setup::ensure(&[Purpose::Build, Purpose::Vm, Purpose::Bench])?;
    let zctrace = match &options.zctrace {
        Some(built) => built.clone(),
        None => binaries::static_zctrace(Arch::NATIVE)?,
    };
    let guest = guest_of(zctrace, binaries::tracing_cost()?, options);
    let what = "counting instructions, about five minutes,";
    let Some(output) = guest::run(&guest, options.kernel, what)? else {
        return Ok(ExitCode::from(vm::SKIPPED));
    };
    let measured: Measured =
        serde_json::from_slice(&output.text).context("reading what the guest measured")?;
    let document = document(output.release, measured);
    if options.json {
        println!("{}", serde_json::to_string_pretty(&document)?);
    } else {
        print(&document);
        for operation in &options.explain {
            explain(&document, operation);
        }
    }
    let complete = document
        .configurations
        .iter()
        .all(|one| one.reason.is_none());
    Ok(ExitCode::from(u8::from(!complete)))
}

fn guest_of(zctrace: PathBuf, measurer: PathBuf, options: &Options) -> Guest {
    let Options {
        without, operation, ..
    } = options;
    let mut extras = vec![
        guest::program(zctrace, "zctrace"),
        guest::program(measurer, "tracing-cost"),
    ];
    let mut command: Vec<String> = [
        "tracing-cost",
        "calls",
        "--directory=/tmp",
        "--disk=/dev/vda",
        "--zctrace=/usr/bin/zctrace",
    ]
    .map(str::to_owned)
    .to_vec();
    command.extend(without.iter().map(|probe| format!("--without={probe}")));
    command.extend(operation.iter().map(|name| format!("--operation={name}")));
    if let Some(bpftrace) = paths::find_program("bpftrace") {
        extras.push(guest::program(bpftrace, "bpftrace"));
        command.push("--bpftrace=/usr/bin/bpftrace".to_owned());
    }
    Guest {
        icount: true,
        extras,
        timeout: Duration::from_mins(30 + 2 * without.len() as u64),
        command,
        ..Guest::default()
    }
}

fn document(kernel: String, measured: Measured) -> Document {
    let Measured {
        operations,
        configurations,
    } = measured;
    let differences = configurations
        .iter()
        .skip(1)
        .flat_map(|configuration| {
            let base = configurations.first();
            operations.iter().filter_map(move |operation| {
                let before = base?.of(&operation.name)?;
                let after = configuration.of(&operation.name)?;
                Some(Difference {
                    operation: operation.name.clone(),
                    configuration: configuration.name.clone(),
                    added: after - before,
                    ratio: after / before,
                })
            })
        })
        .collect();
    Document {
        schema: "zctrace.bench.cost/1",
        kernel,
        operations,
        configurations,
        differences,
    }
}

fn print(document: &Document) {
    println!("instructions per call on Linux {}\n", document.kernel);
    print!("{:<18}", "attached");
    for operation in &document.operations {
        print!("{:>20}", operation.name);
    }
    println!();
    for configuration in &document.configurations {
        print!("{:<18}", configuration.name);
        if let Some(reason) = &configuration.reason {
            println!("  not measured: {reason}");
            continue;
        }
        for operation in &document.operations {
            let cell = configuration.of(&operation.name).map(|count| {
                let added = document.differences.iter().find(|difference| {
                    difference.operation == operation.name
                        && difference.configuration == configuration.name
                });
                match (added, configuration.runs(&operation.name)) {
                    (Some(difference), Some(runs)) => {
                        format!("{count:.0} ({:+.0}, {runs:.0})", difference.added)
                    }
                    (Some(difference), None) => format!("{count:.0} ({:+.0})", difference.added),
                    (None, _) => format!("{count:.0}"),
                }
            });
            print!("{:>20}", cell.unwrap_or_default());
        }
        println!();
    }
    println!("\nin brackets: instructions added, and programs that run in a call\n");
    for operation in &document.operations {
        println!("{:<18}{}", operation.name, operation.about);
    }
    for configuration in &document.configurations {
        if let Some(command) = &configuration.command {
            print!("{:<18}{command}", configuration.name);
            if let (Some(backend), Some(probes)) = (&configuration.backend, configuration.probes) {
                print!("    [{backend}, {probes} probes]");
            }
            println!();
        }
    }
}

/// What runs in an operation, program by program: what its own instructions come to in a traced process and in another
/// one. The statistics that the kernel keeps of a run are measured with programs that do nothing, and taken off.
fn explain(document: &Document, operation: &str) {
    let hooks = |name: &str| {
        let of = |one: &&Configuration| one.name == name;
        let found = document.configurations.iter().find(of);
        found
            .and_then(|one| one.hooks.get(operation))
            .map(Vec::as_slice)
    };
    let (Some(target), Some(other), Some(floor)) =
        (hooks("target"), hooks("other"), hooks("floor"))
    else {
        println!("\n{operation}: what runs in it was not measured");
        return;
    };
    println!("\nprograms that run in a call of {operation}\n");
    println!(
        "{:<9}{:<36}{:>8}{:>10}{:>10}",
        "", "", "runs", "traced", "another"
    );
    let mut seen = BTreeMap::new();
    for hook in target {
        // On kernels that preempt programs, two are attached in each place.
        let place = (&hook.kind, &hook.function);
        let nth = seen.entry(place).and_modify(|n| *n += 1).or_insert(0_usize);
        let same = |hooks: &[Hook]| {
            let mut here = hooks
                .iter()
                .filter(|one| (&one.kind, &one.function) == place);
            here.nth(*nth).map(|one| one.instructions)
        };
        let empty = same(floor).unwrap_or_default();
        let other = same(other).map_or_else(|| "-".to_owned(), |ns| format!("{:.0}", ns - empty));
        println!(
            "{:<9}{:<36}{:>8.2}{:>10.0}{other:>10}",
            hook.kind,
            hook.function,
            hook.runs,
            hook.instructions - empty
        );
    }
    let added = |name: &str| {
        let of = |one: &&Difference| one.operation == operation && one.configuration == name;
        document
            .differences
            .iter()
            .find(of)
            .map_or(f64::NAN, |one| one.added)
    };
    println!(
        "\nadded in all: {:.0} traced, {:.0} another process, {:.0} by programs that do nothing",
        added("target"),
        added("other"),
        added("floor")
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_against_the_first_configuration() {
        let measured: Measured = serde_json::from_value(serde_json::json!({
            "operations": [{"name": "pread", "about": "one byte"}],
            "configurations": [
                {"name": "nothing", "instructions": {"pread": 100.0}},
                {"name": "target", "command": "x", "instructions": {"pread": 150.0}},
                {"name": "other", "command": "y", "reason": "refused", "instructions": {}},
            ],
        }))
        .unwrap();
        let document = document("6.12".to_owned(), measured);
        assert_eq!(document.differences.len(), 1);
        assert_eq!(document.differences[0].added, 50.0);
        assert_eq!(document.differences[0].ratio, 1.5);
    }

    #[test]
    fn the_programs_of_a_call_are_added_up() {
        let hook = |function: &str, runs: f64| {
            serde_json::json!({
                "kind": "fexit", "function": function, "runs": runs, "instructions": 50.0,
            })
        };
        let configuration: Configuration = serde_json::from_value(serde_json::json!({
            "name": "target",
            "instructions": {"fault": 9000.0, "getppid": 300.0},
            "hooks": {"fault": [hook("set_pte_range", 16.0), hook("do_fault", 1.0)]},
        }))
        .unwrap();
        assert_eq!(configuration.runs("fault"), Some(17.0));
        assert_eq!(configuration.runs("getppid"), None);
    }
}
