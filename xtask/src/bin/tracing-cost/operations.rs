//! The operations whose cost is measured.

use std::{
    arch::x86_64::_rdtsc,
    fs::{self, File, OpenOptions},
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::fd::{AsFd as _, AsRawFd as _},
    os::unix::fs::FileExt as _,
    path::Path,
    process::Command,
    ptr::NonNull,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    mount::{MsFlags, mount},
    sys::{
        mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap},
        sendfile::sendfile,
    },
    unistd::{getppid, pipe, read, write},
};

/// An odd number: the median is a round that was measured.
const ROUNDS: usize = 31;

/// Long enough to make the counter's own cost small, short enough for most rounds to see no timer
/// interrupt.
pub(crate) const CALLS: usize = 100;

/// One fault maps this much: the kernel maps what is cached around it too.
const FAULT_AROUND: usize = 64 << 10;

/// Something whose cost is measured.
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
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
    pub(crate) fn measure(&mut self) -> Result<f64> {
        for _ in 0..3 {
            self.round()?;
        }
        let mut rounds = (0..ROUNDS)
            .map(|_| self.round())
            .collect::<Result<Vec<u64>>>()?;
        rounds.sort_unstable();
        Ok(rounds[ROUNDS / 2] as f64 / CALLS as f64)
    }

    /// Ticks of [`CALLS`] calls.
    pub(crate) fn round(&mut self) -> Result<u64> {
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

/// All that there are, with their files in a directory on tmpfs and on an empty disk.
pub(crate) fn all(directory: &Path, disk: &Path) -> Result<Vec<Operation>> {
    let path = directory.join("file");
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
        uring_read(directory, disk)?,
        grow(&directory.join("ext4"))?,
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
fn uring_read(directory: &Path, disk: &Path) -> Result<Operation> {
    const SIZE: usize = 4096;
    let directory = directory.join("ext4");
    fs::create_dir(&directory)?;
    let made = Command::new("mkfs.ext4")
        .arg("-q")
        .arg(disk)
        .status()
        .context("mkfs.ext4")?;
    if !made.success() {
        bail!("mkfs.ext4: {made}");
    }
    let none = None::<&str>;
    mount(Some(disk), &directory, Some("ext4"), MsFlags::empty(), none)
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

/// A page enters the page cache in each call, and no device is waited for. The file is in a directory on ext4.
fn grow(directory: &Path) -> Result<Operation> {
    const SIZE: usize = 4096;
    let file = File::create_new(directory.join("grown"))?;
    let emptied = file.try_clone()?;
    let about = "a write of 4 KiB to the end of a file, ext4";
    let mut operation = Operation::new("grow", about, move |index| {
        file.write_all_at(&[1; SIZE], (index * SIZE) as u64)?;
        Ok(())
    });
    operation.reset = Box::new(move || Ok(emptied.set_len(0)?));
    Ok(operation)
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
