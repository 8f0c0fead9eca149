//! Measures, from the inside, what system calls cost: with nothing attached, with zctrace attached
//! to this process, to another, to all, and with bpftrace. `cargo xtask bench cost` runs it in a
//! guest where a tick of the time stamp counter is an instruction.

mod hooks;

use std::{
    arch::x86_64::_rdtsc,
    fs::{self, File, OpenOptions},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::fd::{AsFd as _, AsRawFd as _},
    os::unix::fs::FileExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    ptr::NonNull,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use hooks::{Empty, Hook, Names, Statistics};
use nix::{
    mount::{MsFlags, mount},
    sys::{
        mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap},
        sendfile::sendfile,
        signal::{Signal, kill},
    },
    unistd::{Pid, getppid, pipe, read, write},
};
use serde_json::{Map, Value, json};

/// An odd number: the median is a round that was measured.
const ROUNDS: usize = 31;

/// Long enough to make the counter's own cost small, short enough for most rounds to see no timer
/// interrupt.
const CALLS: usize = 100;

/// One fault maps this much: the kernel maps what is cached around it too.
const FAULT_AROUND: usize = 64 << 10;

/// Measures what system calls cost.
#[derive(Parser)]
struct Options {
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

fn main() -> Result<()> {
    let options = Options::parse();
    let mut operations = operations(&options)?;
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
        let tracer = zctrace(&options, arguments);
        if name == "target" && tracer.is_ok() {
            places = hooks::attached()?.into_iter().map(|one| one.hook).collect();
        }
        results.push(traced(name, shown.trim_end(), tracer, &mut operations)?);
    }
    results.push(floor(&places, &mut operations)?);
    for probe in &options.without {
        let arguments = ["-p", &me, "--without-probe", probe];
        let shown = format!("zctrace stat {}", arguments.join(" "));
        let tracer = zctrace(&options, &arguments);
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
        let tracer = bpftrace(program, SCRIPT);
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

/// A tracer that is attached, or what else runs beside us.
struct Tracer {
    child: Child,
    /// Where it writes what it saw.
    report: Option<PathBuf>,
}

impl Tracer {
    fn new(child: Child) -> Self {
        Self {
            child,
            report: None,
        }
    }

    fn report(&self) -> Result<Value> {
        let Some(path) = &self.report else {
            return Ok(Value::Null);
        };
        let text = fs::read(path).context("reading zctrace's report")?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Ends it and waits until the kernel has let go of all that was attached.
    fn end(&mut self) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        kill(pid, Signal::SIGINT)?;
        let begin = Instant::now();
        while self.child.try_wait()?.is_none() {
            if begin.elapsed() > Duration::from_mins(1) {
                self.child.kill()?;
            }
            thread::sleep(Duration::from_millis(10));
        }
        // Programs are freed after a grace period.
        thread::sleep(Duration::from_secs(1));
        Ok(())
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // Fails only for a child that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn zctrace(options: &Options, arguments: &[&str]) -> Result<Tracer> {
    let report = options.directory.join("report");
    let mut child = Command::new(&options.zctrace)
        .arg("stat")
        .args(arguments)
        // The report goes to a file, which leaves standard output for the news.
        .args(["--json", "--ready-fd", "1", "-o"])
        .arg(&report)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("running zctrace")?;
    let stdout = child.stdout.take().context("its output")?;
    let mut line = String::new();
    if BufReader::new(stdout).read_line(&mut line)? == 0 {
        let mut why = String::new();
        if let Some(mut stderr) = child.stderr.take() {
            stderr.read_to_string(&mut why)?;
        }
        let status = child.wait()?;
        bail!("{status}: {}", why.trim());
    }
    Ok(Tracer {
        child,
        report: Some(report),
    })
}

fn bpftrace(program: &PathBuf, script: &str) -> Result<Tracer> {
    let mut tracer = Tracer::new(
        Command::new(program)
            .args(["-e", script])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("running bpftrace")?,
    );
    let begin = Instant::now();
    // It does not say when it has attached; the kernel does.
    while begin.elapsed() < Duration::from_mins(2) {
        if let Some(status) = tracer.child.try_wait()? {
            bail!("{status}");
        }
        if fs::read_to_string("/sys/kernel/tracing/enabled_functions")?
            .contains("shmem_file_read_iter")
        {
            thread::sleep(Duration::from_secs(1));
            return Ok(tracer);
        }
        thread::sleep(Duration::from_millis(100));
    }
    bail!("it did not attach within two minutes")
}

/// Something whose cost is measured.
struct Operation {
    name: &'static str,
    about: &'static str,
    once: Box<dyn FnMut(usize) -> Result<()>>,
    /// Done before each round, outside of the measurement.
    reset: Box<dyn FnMut() -> Result<()>>,
}

impl Operation {
    fn new(
        name: &'static str,
        about: &'static str,
        once: impl FnMut(usize) -> Result<()> + 'static,
    ) -> Self {
        Self {
            name,
            about,
            once: Box::new(once),
            reset: Box::new(|| Ok(())),
        }
    }

    /// Ticks of the time stamp counter per call: the median of many rounds.
    fn measure(&mut self) -> Result<f64> {
        for _ in 0..3 {
            self.round()?;
        }
        let mut rounds = (0..ROUNDS)
            .map(|_| self.round())
            .collect::<Result<Vec<u64>>>()?;
        rounds.sort_unstable();
        Ok(rounds[ROUNDS / 2] as f64 / CALLS as f64)
    }

    fn round(&mut self) -> Result<u64> {
        (self.reset)()?;
        let begin = ticks();
        for index in 0..CALLS {
            (self.once)(index)?;
        }
        Ok(ticks() - begin)
    }
}

fn ticks() -> u64 {
    // SAFETY: every x86-64 processor has the instruction.
    unsafe { _rdtsc() }
}

fn operations(options: &Options) -> Result<Vec<Operation>> {
    let path = options.directory.join("file");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open(&path)?;
    file.write_all(&vec![1; CALLS * FAULT_AROUND])?;
    Ok(vec![
        Operation::new("getppid", "a system call without I/O", |_| {
            getppid();
            Ok(())
        }),
        pread(file.try_clone()?),
        uring_read(options)?,
        pipe_pair()?,
        tcp_pair()?,
        send_file(file.try_clone()?)?,
        fault(&file)?,
    ])
}

fn pread(file: File) -> Operation {
    let about = "pread of one byte of a file on tmpfs";
    Operation::new("pread", about, move |_| {
        file.read_exact_at(&mut [0], 0)?;
        Ok(())
    })
}

/// A file on ext4: tmpfs refuses to be read without waiting, so its requests are left to workers,
/// whose turns are no part of what a request costs.
fn uring_read(options: &Options) -> Result<Operation> {
    const SIZE: usize = 4096;
    let directory = options.directory.join("ext4");
    fs::create_dir(&directory)?;
    let made = Command::new("mkfs.ext4")
        .arg("-q")
        .arg(&options.disk)
        .status()
        .context("mkfs.ext4")?;
    if !made.success() {
        bail!("mkfs.ext4: {made}");
    }
    let none = None::<&str>;
    mount(
        Some(&options.disk),
        &directory,
        Some("ext4"),
        MsFlags::empty(),
        none,
    )
    .context("mounting the disk")?;
    let file = OpenOptions::new()
        .create_new(true)
        .read(true)
        .write(true)
        .open(directory.join("file"))?;
    file.write_all_at(&[1; SIZE], 0)?;
    let mut ring = io_uring::IoUring::new(2).context("io_uring_setup")?;
    let mut buffer = vec![0; SIZE];
    let about = "a read of 4 KiB by io_uring, ext4, submitted and completed in one call";
    Ok(Operation::new("uring", about, move |_| {
        let fd = io_uring::types::Fd(file.as_raw_fd());
        let read = io_uring::opcode::Read::new(fd, buffer.as_mut_ptr(), SIZE as u32).build();
        // SAFETY: the file and the buffer live as long as the ring.
        unsafe { ring.submission().push(&read) }?;
        ring.submit_and_wait(1)?;
        let done = ring.completion().next().context("no completion")?;
        if done.result() != SIZE as i32 {
            bail!("read: {}", done.result());
        }
        Ok(())
    }))
}

fn pipe_pair() -> Result<Operation> {
    let (reader, writer) = pipe()?;
    let about = "write of one byte to a pipe, and its read";
    Ok(Operation::new("pipe", about, move |_| {
        write(&writer, &[1])?;
        read(&reader, &mut [0])?;
        Ok(())
    }))
}

fn connected() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    client.set_nodelay(true)?;
    Ok((client, server))
}

fn tcp_pair() -> Result<Operation> {
    let (mut client, mut server) = connected()?;
    let about = "send of one byte over TCP on loopback, and its receipt";
    Ok(Operation::new("tcp", about, move |_| {
        client.write_all(&[1])?;
        server.read_exact(&mut [0])?;
        Ok(())
    }))
}

fn send_file(file: File) -> Result<Operation> {
    let (client, mut server) = connected()?;
    let about = "sendfile of one byte of a file over TCP on loopback, and its receipt";
    Ok(Operation::new("sendfile", about, move |_| {
        sendfile(&client, &file, Some(&mut 0), 1)?;
        server.read_exact(&mut [0])?;
        Ok(())
    }))
}

fn fault(file: &File) -> Result<Operation> {
    let length = (CALLS * FAULT_AROUND).try_into()?;
    // SAFETY: a fresh mapping of a file that nobody truncates, unmapped only by our end.
    let start = unsafe {
        mmap(
            None,
            length,
            ProtFlags::PROT_READ,
            MapFlags::MAP_SHARED,
            file.as_fd(),
            0,
        )
    }?;
    let start: NonNull<u8> = start.cast();
    let about = "a read fault of a mapped file in the page cache";
    let mut operation = Operation::new("fault", about, move |index| {
        // SAFETY: within the mapping, whose length is CALLS times FAULT_AROUND.
        unsafe { start.add(index * FAULT_AROUND).read_volatile() };
        Ok(())
    });
    operation.reset = Box::new(move || {
        // SAFETY: the mapping is of a file, so that its pages come back as they were.
        unsafe { madvise(start.cast(), length.get(), MmapAdvise::MADV_DONTNEED) }?;
        Ok(())
    });
    Ok(operation)
}
