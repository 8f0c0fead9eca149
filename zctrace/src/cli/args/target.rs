//! The options that name a target, shared by every command that traces.

use std::{ffi::OsString, path::PathBuf};

use clap::Args;
use nix::unistd::Uid;

use super::failure::Failure;
use crate::{
    run::{Subject, account::Account},
    target::{self, Spec, kept_by_kernel},
    text::message::say,
    tracer::Config,
};

/// Options of every command that measures. They have no meaning for a recording.
pub(crate) const MEASURES: [&str; 7] = [
    "target",
    "max_rows",
    "max_threads",
    "no_follow",
    "duration",
    "without_probe",
    "ready_fd",
];

/// What to trace: one of these, or a command, or nothing for the whole machine.
#[derive(Args, Debug)]
#[command(next_help_heading = "Target (default: the whole machine)")]
pub(crate) struct TargetArgs {
    /// Processes by id; give it several times or separate ids by commas
    #[arg(short, long, value_name = "PID", value_delimiter = ',', group = "target",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(i32::MAX)))]
    pid: Vec<u32>,

    /// Processes with exactly this command name, including processes that start later; separate several names by commas
    #[arg(long, value_name = "NAME", group = "target", value_delimiter = ',')]
    comm: Vec<String>,

    /// The processes in a cgroup (v2) and below it; give it several times for several
    #[arg(long, value_name = "PATH", group = "target")]
    cgroup: Vec<PathBuf>,

    /// The processes that listen on a TCP port or hold its connections, or are bound to a UDP port; separate several
    /// ports by commas
    #[arg(long, group = "target", value_delimiter = ',',
          value_parser = clap::value_parser!(u16).range(1..))]
    port: Vec<u16>,

    /// The processes of a systemd unit, such as nginx or user@1000.service; separate several units by commas
    #[arg(long, value_name = "NAME", group = "target", value_delimiter = ',')]
    unit: Vec<String>,

    /// The processes in a container, by its name, POD/NAME, NAMESPACE/POD/NAME or the first digits of its id;
    /// separate several by commas
    #[arg(long, value_name = "NAME", group = "target", value_delimiter = ',')]
    container: Vec<String>,

    /// Leave out children that the target starts
    #[arg(long)]
    pub(crate) no_follow: bool,

    /// How many data paths of living processes are counted at a time, and how many processes; the others are counted as
    /// lost. With --by file, each file is one
    #[arg(long, value_name = "COUNT", default_value_t = Config::ROWS,
          value_parser = clap::value_parser!(u32).range(64..=1 << 20))]
    pub(crate) max_rows: u32,

    /// How many threads are traced at a time; each takes about 600 bytes once it does I/O
    #[arg(long, value_name = "COUNT", default_value_t = Config::THREADS,
          value_parser = clap::value_parser!(u32).range(64..=1 << 22))]
    pub(crate) max_threads: u32,

    /// Run the command as this user, with the user's groups and home; root only
    #[arg(long, value_name = "NAME", requires = "command", value_parser = account)]
    user: Option<Account>,

    /// A command to run and trace, from its start to its end
    #[arg(last = true, value_name = "COMMAND", group = "target")]
    command: Vec<OsString>,
}

fn account(name: &str) -> Result<Account, String> {
    Account::find(name)
}

/// Whether a command may run as this account.
pub(crate) fn may_be(account: Option<&Account>) -> Result<(), Failure> {
    if account.is_some() && !Uid::effective().is_root() {
        return Err(Failure::usage(
            "only root can run a command as somebody else",
            "leave --user out, or run zctrace by sudo",
        ));
    }
    Ok(())
}

impl TargetArgs {
    /// Whether a command is to be run.
    pub(crate) fn is_command(&self) -> bool {
        !self.command.is_empty()
    }

    /// Whom the command runs as.
    pub(crate) fn account(&self) -> Result<Option<Account>, Failure> {
        may_be(self.user.as_ref())?;
        Ok(self.user.clone())
    }

    /// The target.
    pub(crate) fn subject(&self) -> Result<Subject, Failure> {
        if self.is_command() {
            return Ok(Subject::Command(self.command.clone()));
        }
        let spec = if !self.pid.is_empty() {
            let mut pids = self.pid.clone();
            pids.sort_unstable();
            pids.dedup();
            Spec::Pids(pids)
        } else if !self.comm.is_empty() {
            Spec::of_comms(self.named()?)
        } else if !self.cgroup.is_empty() {
            Spec::of_cgroups(self.cgroup.clone())
        } else if !self.unit.is_empty() {
            let cgroups: Result<_, _> = self.unit.iter().map(|name| target::unit(name)).collect();
            Spec::of_cgroups(cgroups?)
        } else if !self.container.is_empty() {
            let cgroups = self.container.iter().map(|name| target::container(name));
            Spec::of_cgroups(cgroups.collect::<Result<_, _>>()?)
        } else if !self.port.is_empty() {
            let mut ports = self.port.clone();
            ports.sort_unstable();
            ports.dedup();
            Spec::Ports(ports)
        } else {
            Spec::System
        };
        Ok(Subject::Target(spec))
    }

    /// The command names.
    fn named(&self) -> Result<Vec<String>, Failure> {
        for comm in &self.comm {
            if comm.is_empty() {
                return Err(Failure::usage(
                    "--comm needs a name",
                    "`ps -eo comm` lists names",
                ));
            }
            if kept_by_kernel(comm) != comm {
                say(&format!(
                    "note: the kernel keeps 15 bytes of a name, so this traces {:?}",
                    kept_by_kernel(comm)
                ));
            }
        }
        Ok(self.comm.clone())
    }
}
