//! Boots a kernel in QEMU, runs one command in it and brings back what it printed and wrote.

use std::{
    collections::VecDeque,
    fs,
    io::{Read, Write},
    os::unix::{
        net::{UnixListener, UnixStream},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::{prctl, signal::Signal};

use super::{
    initramfs::{self, Extra},
    kernel::Kernel,
    userland::Userland,
};
use crate::arch::Arch;

/// The guest's scratch disks. Empty files take no space.
pub(crate) const DISKS: [&str; 4] = ["/dev/vda", "/dev/vdb", "/dev/vdc", "/dev/vdd"];
/// A disk whose transfers the kernel maps for the device: with `swiotlb=force` it copies them.
pub(crate) const MAPPED_DISK: &str = "/dev/nvme0n1";
/// How many of the console's last lines tell why a guest died.
const LAST_LINES: usize = 30;
/// A guest whose command has not begun by then hangs: it takes ten seconds, a minute on a slow machine.
const BOOT: Duration = Duration::from_mins(5);
/// How often a guest is booted before it is given up. Nothing of its command has run by then, so
/// nothing that the command would show is lost. Not again where that would take longer than its
/// whole time.
const BOOTS: u32 = 3;

/// What to boot, and what to run there.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    pub(crate) arch: Arch,
    pub(crate) processors: u32,
    pub(crate) memory: String,
    /// One guest nanosecond an instruction, on one processor.
    pub(crate) icount: bool,
    /// The size of each of the scratch disks [`DISKS`], as `truncate` takes it.
    pub(crate) disk: String,
    pub(crate) extras: Vec<Extra>,
    pub(crate) variables: Vec<(String, String)>,
    /// More words for the kernel's command line.
    pub(crate) append: Vec<String>,
    pub(crate) timeout: Duration,
    /// For how long the command may print nothing; without it, as long as it may run.
    pub(crate) silence: Option<Duration>,
    /// Where the guest's `/out` is unpacked.
    pub(crate) out: Option<PathBuf>,
    /// Nothing: a shell on the serial console.
    pub(crate) command: Vec<String>,
}

impl Default for Guest {
    fn default() -> Self {
        Self {
            arch: Arch::NATIVE,
            processors: 2,
            memory: "4G".to_owned(),
            icount: false,
            disk: "1G".to_owned(),
            extras: Vec::new(),
            variables: vec![("RUST_BACKTRACE".to_owned(), "1".to_owned())],
            append: Vec::new(),
            timeout: Duration::from_mins(15),
            silence: None,
            out: None,
            command: Vec::new(),
        }
    }
}

/// How a guest ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The command ran; its status, and what the kernel complained about in the meantime.
    Exited { status: u8, warnings: Vec<String> },
    /// The guest was killed when its time was over, or had not booted or printed for too long:
    /// which of them, and the last of its console.
    TimedOut { why: String, console: String },
    /// The guest went down before its command ended; the last of its console.
    Died { console: String },
}

/// Which of the command's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// Passes the guest's output on to ours as it comes.
pub(crate) fn pass_on(stream: Stream, bytes: &[u8]) {
    // Our own reader may have gone; the guest's result counts all the same.
    let _ = match stream {
        Stream::Out => {
            let mut out = std::io::stdout().lock();
            out.write_all(bytes).and_then(|()| out.flush())
        }
        Stream::Err => std::io::stderr().lock().write_all(bytes),
    };
}

impl Guest {
    pub(crate) fn run(
        &self,
        kernel: &Kernel,
        mut on_output: impl FnMut(Stream, &[u8]),
    ) -> Result<Outcome> {
        let mut boots = 1;
        loop {
            let (outcome, begun) = self.boot(kernel, &mut on_output)?;
            match outcome {
                Outcome::TimedOut { why, console }
                    if !begun && boots < BOOTS && BOOT * boots < self.timeout =>
                {
                    let release = &kernel.release;
                    eprintln!("vm: {release}: the guest {why}; booting it again\n{console}");
                    boots += 1;
                }
                outcome => return Ok(outcome),
            }
        }
    }

    /// What came of it, and whether the command has begun.
    fn boot(
        &self,
        kernel: &Kernel,
        on_output: &mut impl FnMut(Stream, &[u8]),
    ) -> Result<(Outcome, bool)> {
        let work = tempfile::Builder::new().prefix("zctrace-vm-").tempdir()?;
        let mut qemu = self.prepare(kernel, work.path())?;
        if self.command.is_empty() {
            qemu.args(["-serial", "mon:stdio"]);
            let status = Reaped(qemu.spawn().context(NO_QEMU)?).0.wait()?;
            ensure!(status.success(), "qemu: {status}");
            let outcome = Outcome::Exited {
                status: 0,
                warnings: Vec::new(),
            };
            return Ok((outcome, true));
        }

        let console = work.path().join("console");
        qemu.arg("-serial").arg(prefixed("file:", &console));
        qemu.stdin(Stdio::null());
        let (sender, events) = channel();
        qemu.args(["-device", "virtio-serial-pci"]);
        for name in ["stdout", "stderr", "status", "out"] {
            let socket = work.path().join(name);
            let listener = UnixListener::bind(&socket)
                .with_context(|| format!("listening at {}", socket.display()))?;
            qemu.arg("-chardev")
                .arg(prefixed(&format!("socket,id={name},path="), &socket));
            qemu.args([
                "-device",
                &format!("virtserialport,chardev={name},name={name}"),
            ]);
            let out = self.out.clone();
            let sender = sender.clone();
            thread::spawn(move || forward(name, &listener, out.as_deref(), &sender));
        }
        drop(sender);
        let mut child = Reaped(qemu.spawn().context(NO_QEMU)?);
        let mut begun = false;
        let ended = self.follow(&mut child.0, &events, on_output, &mut begun)?;
        let console = last_lines(&console);
        let outcome = match ended {
            Ended::Exited { status, warnings } => Outcome::Exited { status, warnings },
            Ended::TimedOut(why) => Outcome::TimedOut { why, console },
            Ended::Died => Outcome::Died { console },
        };
        Ok((outcome, begun))
    }

    fn prepare(&self, kernel: &Kernel, work: &Path) -> Result<Command> {
        let stage = work.join("stage");
        let initrd = work.join("initramfs");
        initramfs::build(
            kernel,
            Userland::of(self.arch)?,
            &self.extras,
            &self.variables,
            &self.command,
            &stage,
            &initrd,
        )
        .context("building the guest's file system")?;
        fs::remove_dir_all(&stage)?;
        let disks = DISKS.map(|disk| work.join(disk.trim_start_matches("/dev/")));
        let mapped = work.join("mapped");
        let truncated = Command::new("truncate")
            .args(["--size", &self.disk])
            .args(&disks)
            .arg(&mapped)
            .status()?;
        ensure!(truncated.success(), "bad disk size {}", self.disk);

        let mut append = vec![
            match self.arch {
                Arch::Amd64 => "console=ttyS0",
                Arch::Arm64 => "console=ttyAMA0",
            },
            // Warnings, for a guest that hangs: they tell where.
            "loglevel=5",
            "panic=-1",
            "oops=panic",
        ];
        append.extend(["mitigations=off", "nokaslr"]);
        if self.icount && self.arch == Arch::Amd64 {
            append.push("tsc=reliable");
        }
        if self.command.is_empty() {
            append.push("zctrace_vm=shell");
        }
        append.extend(self.append.iter().map(String::as_str));

        let mut qemu = Command::new(program(self.arch));
        // Never KVM: a device that is there but does not work stalls the guest for ever.
        qemu.args(match self.arch {
            // Costs are counted as on a processor of today.
            Arch::Amd64 if self.icount => ["-M", "q35", "-cpu", "max", "-accel"],
            // With ERMS and FSRM kernels copy and clear memory by `rep movsb`, which is emulated byte by byte.
            Arch::Amd64 => ["-M", "q35", "-cpu", "max,-erms,-fsrm", "-accel"],
            // The usual cipher of its pointer authentication is slow to emulate.
            Arch::Arm64 => ["-M", "virt", "-cpu", "max,pauth-impdef=on", "-accel"],
        });
        if self.icount {
            qemu.args([
                "tcg,thread=single",
                "-icount",
                "shift=0,sleep=off",
                "-smp",
                "1",
            ]);
        } else {
            qemu.args(["tcg,thread=multi", "-smp", &self.processors.to_string()]);
        }
        qemu.args([
            "-m",
            &self.memory,
            "-display",
            "none",
            "-no-reboot",
            "-net",
            "none",
        ]);
        qemu.arg("-kernel").arg(kernel.image());
        qemu.arg("-initrd").arg(&initrd);
        qemu.args(["-append", &append.join(" ")]);
        for disk in &disks {
            qemu.arg("-drive")
                .arg(prefixed("if=virtio,format=raw,cache=unsafe,file=", disk));
        }
        qemu.arg("-drive").arg(prefixed(
            "if=none,id=mapped,format=raw,cache=unsafe,file=",
            &mapped,
        ));
        qemu.args(["-device", "nvme,drive=mapped,serial=mapped"]);
        die_with_us(&mut qemu);
        Ok(qemu)
    }

    /// Waits for the guest, handing its output over as it comes.
    fn follow(
        &self,
        qemu: &mut Child,
        events: &Receiver<Event>,
        on_output: &mut impl FnMut(Stream, &[u8]),
        begun: &mut bool,
    ) -> Result<Ended> {
        let begin = Instant::now();
        let deadline = begin + self.timeout;
        let mut heard = begin;
        let mut status_text = Vec::new();
        let mut open = true;
        while open {
            if let Some(why) = self.overdue(begin, heard, *begun) {
                return Ok(Ended::TimedOut(why));
            }
            match events.recv_timeout(Duration::from_millis(200)) {
                Ok(Event::Output(stream, bytes)) => {
                    heard = Instant::now();
                    on_output(stream, &bytes);
                }
                Ok(Event::Status(bytes)) => {
                    heard = Instant::now();
                    *begun = true;
                    status_text.extend(bytes);
                }
                Ok(Event::Failed(error)) => return Err(error),
                Err(RecvTimeoutError::Disconnected) => open = false,
                // Ports QEMU never connected to would keep their listeners waiting.
                Err(RecvTimeoutError::Timeout) => open = qemu.try_wait()?.is_none(),
            }
        }
        // The guest is powering off.
        while qemu.try_wait()?.is_none() {
            if Instant::now() > deadline {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let text = String::from_utf8_lossy(&status_text);
        let status = text.lines().find_map(|line| line.strip_prefix("exit "));
        Ok(match status {
            Some(status) => Ended::Exited {
                status: status.parse().with_context(|| format!("status {status}"))?,
                warnings: text
                    .lines()
                    .filter_map(|line| line.strip_prefix("warning "))
                    .map(str::to_owned)
                    .collect(),
            },
            None => Ended::Died,
        })
    }

    /// Why a guest that was started at `begin` and last `heard` of is waited for no longer.
    fn overdue(&self, begin: Instant, heard: Instant, begun: bool) -> Option<String> {
        let now = Instant::now();
        if now - begin >= self.timeout {
            return Some(format!("had not ended after {} s", self.timeout.as_secs()));
        }
        if !begun && now - begin >= BOOT {
            return Some(format!("had not booted after {} s", BOOT.as_secs()));
        }
        let silence = self.silence?;
        (begun && now - heard >= silence)
            .then(|| format!("printed nothing for {} s", silence.as_secs()))
    }
}

const NO_QEMU: &str = "running QEMU; `cargo xtask setup --vm` installs it";

/// QEMU for an architecture.
pub(crate) const fn program(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "qemu-system-x86_64",
        Arch::Arm64 => "qemu-system-aarch64",
    }
}

enum Ended {
    Exited { status: u8, warnings: Vec<String> },
    TimedOut(String),
    Died,
}

enum Event {
    Output(Stream, Vec<u8>),
    Status(Vec<u8>),
    Failed(anyhow::Error),
}

/// A child that does not outlive the one who holds it.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // Fails only for a child that has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Has the kernel kill the child when we die, in whatever way.
fn die_with_us(command: &mut Command) {
    let arm = || prctl::set_pdeathsig(Signal::SIGKILL).map_err(std::io::Error::from);
    // SAFETY: between fork and exec it makes one system call and allocates nothing.
    unsafe { command.pre_exec(arm) };
}

/// Takes what comes out of one port until QEMU closes it.
fn forward(name: &str, listener: &UnixListener, out: Option<&Path>, events: &Sender<Event>) {
    // Nobody listens any more once the guest was given up.
    let send = |event| events.send(event).is_ok();
    let Ok((mut port, _)) = listener.accept() else {
        return;
    };
    if name == "out" {
        if let Err(error) = unpack(port, out) {
            send(Event::Failed(
                error.context("unpacking what the guest wrote into /out"),
            ));
        }
        return;
    }
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = port.read(&mut buffer) {
        let bytes = buffer[..count].to_vec();
        let event = match name {
            "stdout" => Event::Output(Stream::Out, bytes),
            "stderr" => Event::Output(Stream::Err, bytes),
            _ => Event::Status(bytes),
        };
        if !send(event) {
            return;
        }
    }
}

fn unpack(mut port: UnixStream, out: Option<&Path>) -> Result<()> {
    let Some(out) = out else {
        std::io::copy(&mut port, &mut std::io::sink())?;
        return Ok(());
    };
    let mut first = [0; 512];
    let mut filled = 0;
    while filled < first.len() {
        match port.read(&mut first[filled..])? {
            // The guest died before it came to this.
            0 => return Ok(()),
            count => filled += count,
        }
    }
    fs::create_dir_all(out)?;
    let mut tar = Command::new("tar")
        .args(["--extract", "--no-same-owner", "--directory"])
        .arg(out)
        .stdin(Stdio::piped())
        .spawn()
        .context("running tar")?;
    let mut stdin = tar.stdin.take().context("tar's input")?;
    stdin.write_all(&first)?;
    std::io::copy(&mut port, &mut stdin)?;
    drop(stdin);
    let status = tar.wait()?;
    ensure!(status.success(), "tar: {status}");
    Ok(())
}

fn prefixed(prefix: &str, path: &Path) -> std::ffi::OsString {
    let mut word = std::ffi::OsString::from(prefix);
    word.push(path);
    word
}

fn last_lines(console: &Path) -> String {
    let bytes = fs::read(console).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = VecDeque::new();
    for line in text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
    {
        if lines.len() == LAST_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
    lines.into_iter().collect::<Vec<_>>().join("\n")
}
