//! A filesystem in user space: one directory of files in memory, served by a child process over
//! `/dev/fuse`. Only what [`super::arena::Arena::file_with`] and reads and writes need.
//!
//! Requests and replies are the structs of linux/fuse.h, taken apart and put together by hand.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::fd::AsRawFd as _,
    path::Path,
};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    libc,
    mount::{MsFlags, mount},
    sys::{
        signal::{Signal, kill},
        wait::waitpid,
    },
    unistd::Pid,
};

pub(in crate::workload) mod backed;

use super::loop_device::load_module;
use crate::workload::{
    Skip,
    stage::{child, shared::Shared},
};

/// A day: it is killed when it is not needed any more.
const SECONDS: u32 = 24 * 60 * 60;

/// The process that serves a mounted filesystem; ends with this.
pub struct Daemon(Pid);

impl Daemon {
    /// Mounts the filesystem on `path`.
    pub fn mount(path: &Path) -> Result<Self> {
        let device = mounted(path)?;
        // Only the child keeps the device: if it dies, the filesystem fails and does not hang.
        let serve = Box::new(move || serve(device));
        child::start("zct-fuse-daemon".to_owned(), serve, SECONDS, Shared::new()?).map(Self)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
        let _ = waitpid(self.0, None);
    }
}

/// Mounts a filesystem on `path` that serves what reads and writes the device.
fn mounted(path: &Path) -> Result<File> {
    const DEVICE: &str = "/dev/fuse";
    let open = || OpenOptions::new().read(true).write(true).open(DEVICE);
    let device = open()
        .or_else(|_| {
            load_module("fuse");
            open()
        })
        .map_err(|error| Skip(format!("no FUSE: {DEVICE}: {error}")))?;
    let options = format!(
        "fd={},rootmode=40000,user_id=0,group_id=0",
        device.as_raw_fd()
    );
    mount(
        Some("zctrace-traffic"),
        path,
        Some("fuse"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        Some(options.as_str()),
    )
    .context("mount")?;
    Ok(device)
}

/// Most bytes of a write request. The kernel demands a buffer that holds it and its headers.
const MAX_WRITE: usize = 128 * 1024;
const HEADER: usize = 40;
const ROOT: u64 = 1;

fn serve(mut device: File) -> Result<()> {
    let mut files = Files::default();
    let mut buffer = vec![0; MAX_WRITE + 4096];
    loop {
        let length = match device.read(&mut buffer) {
            Ok(length) => length,
            // Unmounted.
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(()),
            // The request was withdrawn.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => continue,
            Err(error) => return Err(error).context("reading a request"),
        };
        let request = Request(&buffer[..length]);
        let Some(answer) = files.answer(&request) else {
            continue;
        };
        // An error here is one of the request, which may be gone by now.
        let _ = device.write(&reply(request.unique(), answer));
    }
}

fn reply(unique: u64, answer: Result<Vec<u8>, Errno>) -> Vec<u8> {
    let (error, body) = match answer {
        Ok(body) => (0, body),
        Err(errno) => (-(errno as i32), Vec::new()),
    };
    let mut reply = Vec::with_capacity(16 + body.len());
    reply.extend(((16 + body.len()) as u32).to_ne_bytes());
    reply.extend(error.to_ne_bytes());
    reply.extend(unique.to_ne_bytes());
    reply.extend(body);
    reply
}

/// A `fuse_in_header` and what follows.
struct Request<'a>(&'a [u8]);

impl<'a> Request<'a> {
    fn opcode(&self) -> u32 {
        u32_at(self.0, 4)
    }

    fn unique(&self) -> u64 {
        u64_at(self.0, 8)
    }

    fn node(&self) -> u64 {
        u64_at(self.0, 16)
    }

    fn body(&self) -> &'a [u8] {
        self.0.get(HEADER..).unwrap_or_default()
    }

    /// A name that follows `skipped` bytes of the body.
    fn name(&self, skipped: usize) -> Vec<u8> {
        let name = self.body().get(skipped..).unwrap_or_default();
        name.split(|byte| *byte == 0)
            .next()
            .unwrap_or_default()
            .to_vec()
    }
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let field = bytes.get(offset..).and_then(|rest| rest.first_chunk());
    field.copied().map_or(0, u32::from_ne_bytes)
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let field = bytes.get(offset..).and_then(|rest| rest.first_chunk());
    field.copied().map_or(0, u64::from_ne_bytes)
}

/// The directory. A file stays when its name is gone: it may be open.
#[derive(Default)]
struct Files {
    names: HashMap<Vec<u8>, u64>,
    /// The contents of node 2, 3, …
    contents: Vec<Vec<u8>>,
}

impl Files {
    /// The body of the reply; `None` for requests that get none.
    fn answer(&mut self, request: &Request<'_>) -> Option<Result<Vec<u8>, Errno>> {
        const LOOKUP: u32 = 1;
        const FORGET: u32 = 2;
        const GETATTR: u32 = 3;
        const SETATTR: u32 = 4;
        const UNLINK: u32 = 10;
        const OPEN: u32 = 14;
        const READ: u32 = 15;
        const WRITE: u32 = 16;
        const STATFS: u32 = 17;
        const RELEASE: u32 = 18;
        const FSYNC: u32 = 20;
        const FLUSH: u32 = 25;
        const INIT: u32 = 26;
        const OPENDIR: u32 = 27;
        const RELEASEDIR: u32 = 29;
        const CREATE: u32 = 35;
        const INTERRUPT: u32 = 36;
        const BATCH_FORGET: u32 = 42;

        let node = request.node();
        Some(match request.opcode() {
            INIT => Ok(init()),
            LOOKUP => match self.names.get(&request.name(0)) {
                Some(&node) => self.entry(node),
                None => Err(Errno::ENOENT),
            },
            GETATTR => self.attributes(node),
            SETATTR => self.set_attributes(node, request.body()),
            CREATE => self.create(request.name(16)),
            OPEN | OPENDIR => Ok(opened()),
            READ => self.read(node, request.body()),
            WRITE => self.write(node, request.body()),
            UNLINK => {
                self.names.remove(&request.name(0));
                Ok(Vec::new())
            }
            STATFS => Ok(vec![0; 80]),
            RELEASE | RELEASEDIR | FSYNC | FLUSH => Ok(Vec::new()),
            FORGET | BATCH_FORGET | INTERRUPT => return None,
            _ => Err(Errno::ENOSYS),
        })
    }

    fn content(&mut self, node: u64) -> Result<&mut Vec<u8>, Errno> {
        let index = node.checked_sub(ROOT + 1).ok_or(Errno::EISDIR)?;
        self.contents.get_mut(index as usize).ok_or(Errno::ENOENT)
    }

    fn create(&mut self, name: Vec<u8>) -> Result<Vec<u8>, Errno> {
        self.contents.push(Vec::new());
        let node = ROOT + self.contents.len() as u64;
        self.names.insert(name, node);
        let mut body = self.entry(node)?;
        body.extend(opened());
        Ok(body)
    }

    fn read(&mut self, node: u64, body: &[u8]) -> Result<Vec<u8>, Errno> {
        let (offset, size) = (u64_at(body, 8) as usize, u32_at(body, 16) as usize);
        let content = self.content(node)?;
        let rest = content.get(offset..).unwrap_or_default();
        Ok(rest[..size.min(rest.len())].to_vec())
    }

    fn write(&mut self, node: u64, body: &[u8]) -> Result<Vec<u8>, Errno> {
        const WRITE_IN: usize = 40;
        let (offset, size) = (u64_at(body, 8) as usize, u32_at(body, 16) as usize);
        let data = body.get(WRITE_IN..WRITE_IN + size).ok_or(Errno::EINVAL)?;
        let content = self.content(node)?;
        let end = offset + size;
        if content.len() < end {
            content.resize(end, 0);
        }
        content[offset..end].copy_from_slice(data);
        let mut reply = (size as u32).to_ne_bytes().to_vec();
        reply.extend([0; 4]);
        Ok(reply)
    }

    fn set_attributes(&mut self, node: u64, body: &[u8]) -> Result<Vec<u8>, Errno> {
        const FATTR_SIZE: u32 = 1 << 3;
        if u32_at(body, 0) & FATTR_SIZE != 0 {
            self.content(node)?.resize(u64_at(body, 16) as usize, 0);
        }
        self.attributes(node)
    }

    fn attributes(&mut self, node: u64) -> Result<Vec<u8>, Errno> {
        Ok(attr_out(&self.attr(node)?))
    }

    fn entry(&mut self, node: u64) -> Result<Vec<u8>, Errno> {
        Ok(entry_out(node, &self.attr(node)?))
    }

    fn attr(&mut self, node: u64) -> Result<Vec<u8>, Errno> {
        Ok(if node == ROOT {
            attr(node, None)
        } else {
            attr(node, Some(self.content(node)?.len() as u64))
        })
    }
}

/// `fuse_attr_out`.
fn attr_out(attr: &[u8]) -> Vec<u8> {
    let mut reply = VALID_SECONDS.to_ne_bytes().to_vec();
    reply.extend([0; 8]);
    reply.extend(attr);
    reply
}

/// `fuse_entry_out`.
fn entry_out(node: u64, attr: &[u8]) -> Vec<u8> {
    let mut reply = Vec::new();
    let generation = 0_u64;
    for field in [node, generation, VALID_SECONDS, VALID_SECONDS] {
        reply.extend(field.to_ne_bytes());
    }
    reply.extend([0; 8]);
    reply.extend(attr);
    reply
}

/// `fuse_attr` of a file of `size` bytes, or of a directory.
fn attr(node: u64, size: Option<u64>) -> Vec<u8> {
    let mode = match size {
        None => libc::S_IFDIR | 0o700,
        Some(_) => libc::S_IFREG | 0o600,
    };
    let size = size.unwrap_or(0);
    let mut attr = Vec::new();
    let (blocks, times) = (size.div_ceil(512), [0_u64; 3]);
    for field in [node, size, blocks].into_iter().chain(times) {
        attr.extend(field.to_ne_bytes());
    }
    let (nanoseconds, links, owner, device, block_size, flags) = ([0; 3], 1, [0; 2], 0, 4096, 0);
    let rest = [mode, links, owner[0], owner[1], device, block_size, flags];
    for field in nanoseconds.into_iter().chain(rest) {
        attr.extend(field.to_ne_bytes());
    }
    attr
}

/// Nobody else changes the files, so what the kernel knows of them stays valid.
const VALID_SECONDS: u64 = 3600;

/// `fuse_init_out`.
fn init() -> Vec<u8> {
    const BIG_WRITES: u32 = 1 << 5;
    let (major, minor, read_ahead) = (7, 31, 128 * 1024);
    let mut reply = Vec::new();
    for field in [major, minor, read_ahead, BIG_WRITES] {
        reply.extend(u32::to_ne_bytes(field));
    }
    // max_background, congestion_threshold: the defaults.
    reply.extend([0; 4]);
    let (max_write, time_granularity) = (MAX_WRITE as u32, 1);
    for field in [max_write, time_granularity] {
        reply.extend(u32::to_ne_bytes(field));
    }
    reply.resize(64, 0);
    reply
}

/// `fuse_open_out`.
fn opened() -> Vec<u8> {
    const FOPEN_KEEP_CACHE: u32 = 1 << 1;
    let mut reply = vec![0; 8];
    reply.extend(FOPEN_KEEP_CACHE.to_ne_bytes());
    reply.extend([0; 4]);
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(opcode: u32, node: u64, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(((HEADER + body.len()) as u32).to_ne_bytes());
        bytes.extend(opcode.to_ne_bytes());
        bytes.extend(7_u64.to_ne_bytes());
        bytes.extend(node.to_ne_bytes());
        bytes.extend([0; 16]);
        bytes.extend(body);
        bytes
    }

    fn ask(files: &mut Files, opcode: u32, node: u64, body: &[u8]) -> Result<Vec<u8>, Errno> {
        let bytes = request(opcode, node, body);
        files.answer(&Request(&bytes)).expect("a reply")
    }

    #[test]
    fn sizes_of_the_replies() {
        let mut files = Files::default();
        assert_eq!(ask(&mut files, 26, 0, &[]).map(|r| r.len()), Ok(64));
        assert_eq!(ask(&mut files, 3, ROOT, &[]).map(|r| r.len()), Ok(104));
        let create = [&[0; 16][..], b"name\0"].concat();
        assert_eq!(ask(&mut files, 35, ROOT, &create).map(|r| r.len()), Ok(144));
        assert_eq!(
            ask(&mut files, 1, ROOT, b"name\0").map(|r| r.len()),
            Ok(128)
        );
        assert_eq!(ask(&mut files, 1, ROOT, b"other\0"), Err(Errno::ENOENT));
    }

    #[test]
    fn what_is_written_is_read() {
        let mut files = Files::default();
        let create = [&[0; 16][..], b"name\0"].concat();
        ask(&mut files, 35, ROOT, &create).expect("created");
        let mut write = vec![0; 40];
        write[8..16].copy_from_slice(&2_u64.to_ne_bytes());
        write[16..20].copy_from_slice(&3_u32.to_ne_bytes());
        write.extend(b"abc");
        ask(&mut files, 16, 2, &write).expect("written");
        let mut read = vec![0; 40];
        read[16..20].copy_from_slice(&100_u32.to_ne_bytes());
        assert_eq!(ask(&mut files, 15, 2, &read), Ok(b"\0\0abc".to_vec()));
        assert_eq!(ask(&mut files, 10, ROOT, b"name\0"), Ok(vec![]));
        assert_eq!(ask(&mut files, 15, 2, &read), Ok(b"\0\0abc".to_vec()));
    }

    #[test]
    fn errors_are_negative() {
        let bytes = reply(7, Err(Errno::ENOENT));
        assert_eq!(bytes.len(), 16);
        assert_eq!(u32_at(&bytes, 4).cast_signed(), -libc::ENOENT);
        assert_eq!(u64_at(&bytes, 8), 7);
    }
}
