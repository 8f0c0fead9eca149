//! `zctrace traffic`: traffic whose truth is known. Hidden: for the tests, the self-test and the
//! demonstration.

use std::{
    io::{Write as _, stdout},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    ledger::Totals,
    workload::{
        Arena, Traffic, all, find, resume,
        scene::arena::Sizes,
        stage::runner,
        truth::report::{Outcome, Report, Status},
    },
};

/// Does I/O whose ledger is known beforehand.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Families, or the groups `demo`, `requests`, `routes` and `volume`.
    #[arg(value_name = "NAME", required_unless_present_any = ["all", "list", "resume"])]
    names: Vec<String>,

    /// Every family but those of the groups.
    #[arg(long, conflicts_with = "names")]
    all: bool,

    /// List the families.
    #[arg(long, conflicts_with = "json")]
    list: bool,

    /// Print a JSON document.
    #[arg(long)]
    json: bool,

    /// Bytes per technique.
    #[arg(long, value_name = "N", default_value_t = Sizes::default().bytes, value_parser = clap::value_parser!(u64).range(1..))]
    bytes: u64,

    /// Operations of `volume`.
    #[arg(long, value_name = "N", default_value_t = Sizes::default().ops, value_parser = clap::value_parser!(u64).range(1..))]
    ops: u64,

    /// Be the second program of `awkward-exec`.
    #[arg(long, value_name = "DESCRIPTOR", hide = true)]
    resume: Option<i32>,
}

/// Runs the families, prints the truth, and fails if one failed.
pub fn run(args: &Args) -> Result<ExitCode> {
    if let Some(descriptor) = args.resume {
        resume(descriptor)?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.list {
        return list();
    }
    let chosen = chosen(args)?;
    runner::catch_interrupts()?;
    let arena = Arena::new(Sizes {
        bytes: args.bytes,
        ops: args.ops,
        ..Sizes::default()
    })?;
    let mut outcomes = Vec::new();
    for traffic in chosen {
        if runner::is_interrupted() {
            break;
        }
        let outcome = runner::run(traffic, &arena);
        if !args.json {
            print_outcome(&outcome)?;
        }
        outcomes.push(outcome);
    }
    drop(arena);
    let failed = outcomes.iter().any(|o| o.status == Status::Failed);
    if args.json {
        let json = serde_json::to_string_pretty(&Report::new(outcomes))?;
        writeln!(stdout(), "{json}")?;
    }
    Ok(if failed || runner::is_interrupted() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn chosen(args: &Args) -> Result<Vec<&'static Traffic>> {
    if args.all {
        return Ok(all().filter(|traffic| traffic.is_ordinary()).collect());
    }
    let mut chosen = Vec::new();
    for name in &args.names {
        let found = find(name);
        if found.is_empty() {
            bail!("no traffic is called {name}\n`zctrace traffic --list` names them all");
        }
        chosen.extend(found);
    }
    Ok(chosen)
}

fn list() -> Result<ExitCode> {
    let mut out = stdout().lock();
    for traffic in all() {
        writeln!(out, "{:24} {}", traffic.name(), traffic.summary())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print_outcome(outcome: &Outcome) -> Result<()> {
    let mut out = stdout().lock();
    let status = match outcome.status {
        Status::Ok => "ok",
        Status::Skipped => "skipped",
        Status::Failed => "FAILED",
    };
    write!(out, "{:24} {status}", outcome.name)?;
    if let Some(reason) = &outcome.reason {
        write!(out, ": {reason}")?;
    }
    for member in &outcome.processes {
        write!(out, "  {} {}", member.comm, member.pid)?;
    }
    writeln!(out)?;
    if outcome.status != Status::Ok {
        return Ok(());
    }
    for row in &outcome.expected.rows {
        let role = if row.process.is_empty() { "" } else { " of " };
        let bound = match (row.at_least, row.at_most) {
            (true, _) => " or more",
            (_, true) => " or less",
            _ => "",
        };
        writeln!(
            out,
            "    {} {}{role}{}: {}{bound}",
            row.op,
            row.object,
            row.process,
            numbers(&row.totals).context("not an object")?,
        )?;
    }
    Ok(())
}

/// The fields that are not zero.
fn numbers(totals: &Totals) -> Option<String> {
    let value = serde_json::to_value(totals).ok()?;
    let fields: Vec<_> = value
        .as_object()?
        .iter()
        .filter(|(name, value)| value.as_u64() != Some(0) && *name != "copies_per_byte")
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    Some(fields.join(", "))
}
