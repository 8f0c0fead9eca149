//! `cargo xtask setup`: installs what is missing, and nothing else.

use std::{env, fs, io::Write as _, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::{
    apt,
    arch::Arch,
    cross,
    job::{Job, is_root},
    paths,
    vm::{
        self,
        userland::{self, Userland},
    },
};

mod toolchain;
mod tools;

pub(crate) use toolchain::{LINKED as LINKED_TOOLCHAIN, find as bpf_toolchain};
pub(crate) use tools::Purpose;

/// Install what is missing to build and run zctrace.
///
/// Says before each step what it does and why it needs root, and does nothing where everything is
/// there.
#[derive(Args)]
pub(crate) struct Options {
    /// Also what the tests on the running kernel use.
    #[arg(long)]
    test: bool,
    /// Also what the tests in virtual machines use.
    #[arg(long)]
    vm: bool,
    /// Also what the benchmarks use.
    #[arg(long)]
    bench: bool,
    /// Also what builds for this architecture and emulates it.
    #[arg(long, value_enum, default_value_t = Arch::NATIVE)]
    arch: Arch,
    /// Install nothing; say what is missing, with status 1 if anything is.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut purposes = vec![Purpose::Build];
    purposes.extend(options.test.then_some(Purpose::Test));
    purposes.extend(options.vm.then_some(Purpose::Vm));
    purposes.extend(options.bench.then_some(Purpose::Bench));
    let missing = Missing::find(&purposes, options.arch);
    if missing.is_nothing() {
        println!("setup: nothing to do: {}", found(&purposes, options.arch));
        return Ok(ExitCode::SUCCESS);
    }
    if options.check {
        for line in missing.describe() {
            println!("missing: {line}");
        }
        return Ok(ExitCode::FAILURE);
    }
    missing.install()?;
    println!("setup: done: {}", found(&purposes, options.arch));
    Ok(ExitCode::SUCCESS)
}

/// Installs what `purposes` need, silently where nothing is missing.
pub(crate) fn ensure(purposes: &[Purpose]) -> Result<()> {
    ensure_for(purposes, Arch::NATIVE)
}

/// The same, to build for an architecture and to emulate it.
pub(crate) fn ensure_for(purposes: &[Purpose], arch: Arch) -> Result<()> {
    let missing = Missing::find(purposes, arch);
    // Optional programs are worth an installation only together with something else, or when they
    // were asked for; else each run would try again what this system does not have.
    if missing.required() || (!missing.is_nothing() && !was_tried(&missing)) {
        missing.install()?;
    }
    Ok(())
}

/// The optional programs once found to be unavailable are noted in the target directory.
fn was_tried(missing: &Missing) -> bool {
    let noted = fs::read_to_string(note()).unwrap_or_default();
    missing
        .tools
        .iter()
        .all(|tool| noted.lines().any(|line| line == tool.package))
}

fn note() -> std::path::PathBuf {
    paths::target().join("xtask-unavailable-packages")
}

fn found(purposes: &[Purpose], arch: Arch) -> String {
    let mut text = match toolchain::find() {
        Some(name) => format!("toolchain {name} and bpf-linker"),
        None => "no toolchain".to_owned(),
    };
    if purposes.contains(&Purpose::Vm)
        && let Some(version) = qemu_version(arch)
    {
        text += &format!(", qemu {version}");
    }
    text
}

/// What is not there.
struct Missing {
    arch: Arch,
    /// A standard library for the architecture.
    std: bool,
    /// The programs of its guests.
    userland: bool,
    toolchain: bool,
    linker: bool,
    tools: Vec<tools::Tool>,
    qemu: bool,
}

impl Missing {
    fn find(purposes: &[Purpose], arch: Arch) -> Self {
        let mut purposes = purposes.to_vec();
        if !arch.is_native() {
            purposes.push(Purpose::Cross);
        }
        let wanted = |tool: &tools::Tool| purposes.iter().any(|one| tool.purposes.contains(one));
        let build = purposes.contains(&Purpose::Build);
        let linker = build && !toolchain::linker_works();
        Self {
            arch,
            std: build && !cross::can_build(arch),
            userland: purposes.contains(&Purpose::Vm) && !userland::is_here(arch),
            // A linker has to know its rustc's LLVM; the one we build knows Debian's.
            toolchain: build
                && toolchain::find().is_none_or(|name| linker && name != toolchain::LINKED),
            linker,
            tools: tools::TOOLS
                .into_iter()
                .filter(|tool| wanted(tool) && !tool.is_here())
                .collect(),
            qemu: purposes.contains(&Purpose::Vm) && !qemu_version(arch).is_some_and(works),
        }
    }

    fn is_nothing(&self) -> bool {
        !self.required() && self.tools.is_empty()
    }

    fn required(&self) -> bool {
        self.toolchain
            || self.linker
            || self.qemu
            || self.std
            || self.userland
            || self.tools.iter().any(|tool| !tool.optional)
    }

    fn describe(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.toolchain {
            lines.push("a toolchain that compiles for BPF".to_owned());
        }
        if self.linker {
            lines.push("bpf-linker".to_owned());
        }
        if self.qemu {
            lines.push(match qemu_version(self.arch) {
                Some(version) => format!("a newer QEMU than {version}, which crashes some kernels"),
                None => vm::program(self.arch).to_owned(),
            });
        }
        if self.std {
            lines.push(format!("Rust's standard library for {}", self.arch));
        }
        if self.userland {
            lines.push(format!("programs of guests for {}", self.arch));
        }
        lines.extend(self.tools.iter().map(|tool| {
            let note = if tool.optional { ", optional" } else { "" };
            format!("{} (package {}{note})", tool.program, tool.package)
        }));
        lines
    }

    fn install(&self) -> Result<()> {
        eprintln!("setup: missing: {}", self.describe().join(", "));
        let needs_llvm = self.linker && !toolchain::llvm_is_installed();
        let needs_debian = self.toolchain && !toolchain::debian_is_installed();
        let mut packages: Vec<&str> = self.tools.iter().map(|tool| tool.package).collect();
        if needs_llvm || needs_debian {
            packages.extend(toolchain::DEBIAN_PACKAGES);
        }
        if !packages.is_empty() || self.qemu {
            self.install_packages(packages)?;
        }
        if self.toolchain {
            if !toolchain::debian_is_installed() {
                bail!(
                    "Debian's Rust here is too old, or has no `core` for BPF\n{}",
                    by_hand()
                );
            }
            toolchain::link().step("setup: linking Debian's Rust into rustup as zctrace-bpf")?;
        }
        if self.linker {
            toolchain::install_linker().step("setup: building bpf-linker (about a minute)")?;
        }
        if self.std {
            eprintln!("setup: getting Rust's standard library for {}", self.arch);
            cross::get_std(self.arch)?;
        }
        if self.userland {
            Userland::of(self.arch)?;
        }
        Ok(())
    }

    fn install_packages(&self, mut packages: Vec<&str>) -> Result<()> {
        if paths::find_program("apt-get").is_none() {
            bail!(
                "this system has no apt; install {}\n{}",
                packages.join(" "),
                by_hand()
            );
        }
        if !is_root() {
            eprintln!("setup: installing packages needs root: the next steps use sudo");
        }
        let qemu = match self.arch {
            Arch::Amd64 => "qemu-system-x86",
            Arch::Arm64 => "qemu-system-arm",
        };
        let backports = if self.qemu { add_backports()? } else { None };
        // Always: a package list that is old names files that are gone. A broken source that has
        // nothing to do with us makes it fail, and what matters is what can be installed.
        let updated = apt_get()
            .arg("update")
            .step("setup: apt-get update (root: to know which packages there are)");
        if updated.is_err() {
            eprintln!("setup: going on with the package lists there are");
        }
        if self.qemu && backports.is_none() {
            packages.push(qemu);
        }
        packages.sort_unstable();
        packages.dedup();
        let (here, unavailable): (Vec<&str>, Vec<&str>) = packages
            .into_iter()
            .partition(|package| has_candidate(package));
        self.refuse_unless_optional(&unavailable)?;
        if !here.is_empty() {
            install(None, &here)
                .step(&format!("setup: apt-get install {} (root)", here.join(" ")))?;
        }
        if let Some(suite) = backports {
            install(Some(&suite), &[qemu]).step(&format!(
                "setup: apt-get install {qemu} from {suite} (root)"
            ))?;
        }
        Ok(())
    }

    fn refuse_unless_optional(&self, unavailable: &[&str]) -> Result<()> {
        for package in unavailable {
            let optional = |tool: &tools::Tool| tool.package == *package && tool.optional;
            if !self.tools.iter().any(optional) {
                bail!(
                    "no package {package} in this system's archive\n{}",
                    by_hand()
                );
            }
            eprintln!("setup: no package {package} here; what needs it will be skipped");
            fs::create_dir_all(paths::target())?;
            let mut note = fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(note())?;
            writeln!(note, "{package}")?;
        }
        Ok(())
    }
}

fn by_hand() -> String {
    "Where Debian's packages cannot be had, a nightly does as well:\n  \
     rustup toolchain install nightly --component rust-src\n\
     with bpf-linker from https://github.com/aya-rs/bpf-linker#installation"
        .to_owned()
}

fn apt_get() -> Job {
    Job::new("apt-get")
        .args(["--quiet=2", "-o", "DPkg::Lock::Timeout=120"])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .root()
        .limit(Duration::from_mins(20))
}

/// Installs packages without starting the services some of them bring.
fn install(suite: Option<&str>, packages: &[&str]) -> Job {
    const SCRIPT: &str = r#"
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod +x "$policy"
fi
had_nginx=$(command -v nginx || true)
apt-get --quiet=2 -o DPkg::Lock::Timeout=120 install --yes --no-remove --no-install-recommends "$@"
if [ -z "$had_nginx" ] && command -v nginx systemctl > /dev/null 2>&1; then
    systemctl disable nginx > /dev/null 2>&1 || true
fi
"#;
    let mut job = Job::new("sh").args(["-ec", SCRIPT, "install"]);
    if let Some(suite) = suite {
        job = job.args(["--target-release", suite]);
    }
    job.args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .root()
        .limit(Duration::from_mins(20))
}

fn has_candidate(package: &str) -> bool {
    Job::new("apt-cache")
        .args(["policy", package])
        .env("LC_ALL", "C")
        .read()
        .is_some_and(|text| {
            text.lines()
                .filter_map(|line| line.trim().strip_prefix("Candidate: "))
                .any(|candidate| candidate != "(none)")
        })
}

/// Debian 12's own QEMU crashes newer kernels; its backports have a good one.
fn add_backports() -> Result<Option<String>> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let field = |name: &str| {
        release
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(|value| value.trim_matches('"'))
    };
    if field("ID=") != Some("debian") || field("VERSION_ID=") != Some("12") {
        return Ok(None);
    }
    let suite = "bookworm-backports".to_owned();
    if apt::has_suite(&suite) {
        return Ok(Some(suite));
    }
    let apt::Mirror { uri, keyring } = apt::debian_mirror()?;
    let text = format!(
        "Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\nSigned-By: {keyring}\n"
    );
    let draft = env::temp_dir().join("zctrace-backports.sources");
    fs::write(&draft, text).with_context(|| format!("writing {}", draft.display()))?;
    Job::new("install")
        .args(["-m", "644"])
        .arg(&draft)
        .arg("/etc/apt/sources.list.d/zctrace-backports.sources")
        .root()
        .step(
            "setup: adding the suite bookworm-backports (root: QEMU 7.2 crashes newer kernels)",
        )?;
    fs::remove_file(&draft)?;
    Ok(Some(suite))
}

type Version = String;

fn qemu_version(arch: Arch) -> Option<Version> {
    let text = Job::new(vm::program(arch)).arg("--version").read()?;
    let version = text.split_once("version ")?.1;
    Some(version.split([' ', '(', '\n']).next()?.to_owned())
}

/// The crash of 6.12 guests (a compare-and-exchange of 16 bytes) was seen with 7.2.
fn works(version: Version) -> bool {
    version
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok())
        .is_some_and(|major| major >= 8)
}
