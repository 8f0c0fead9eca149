//! `O_DIRECT`, synchronously: past the page cache, where the filesystem does not copy after all.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::{
        fd::AsRawFd as _,
        unix::fs::{FileExt as _, OpenOptionsExt as _},
    },
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, fallocate},
    libc,
    sys::uio::{pread, pwrite},
    unistd::{read, write},
};
use zctrace_common::{Class, Evidence, Op};

use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Skip, Traffic,
    scene::{arena::evict, mounts::Fs, opened_direct::opened_direct},
    stage::{
        buffer::{Buffer, fill},
        mapping::whole_pages,
    },
    truth::{
        exact::{calls, exactly},
        expected::Wanted,
    },
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "direct-ext4",
        "O_DIRECT reads, the last one short, and writes on ext4",
        |arena| past_the_cache(arena, Fs::Ext4),
    ),
    Traffic::new(
        "direct-xfs",
        "O_DIRECT reads, the last one short, and writes on xfs",
        |arena| past_the_cache(arena, Fs::Xfs),
    ),
    Traffic::new(
        "direct-btrfs",
        "O_DIRECT reads on btrfs, the last one short",
        |arena| reads(arena, Fs::Btrfs),
    )
    .tag("dir-btrfs"),
    Traffic::new(
        "direct-btrfs-write",
        "O_DIRECT writes on btrfs with checksums: newer kernels copy after all",
        btrfs_write,
    )
    .tag("dir-btrfs-w"),
    Traffic::new(
        "direct-btrfs-nocow",
        "O_DIRECT writes on btrfs to a file without checksums",
        btrfs_write_without_checksums,
    )
    .tag("dir-btrfs-n"),
    Traffic::new(
        "direct-unaligned",
        "O_DIRECT on btrfs in odd lengths: copied after all",
        unaligned,
    )
    .tag("dir-odd"),
    Traffic::new(
        "direct-tail",
        "O_DIRECT read of a file whose second half is compressed, and so is copied",
        compressed_tail,
    ),
    Traffic::new(
        "direct-holes-ext4",
        "O_DIRECT reads on ext4 across holes and unwritten extents: zeros, made by a CPU",
        |arena| across_holes(arena, Fs::Ext4),
    )
    .tag("dir-h-ext4"),
    Traffic::new(
        "direct-holes-xfs",
        "O_DIRECT reads on xfs across holes and unwritten extents: zeros, made by a CPU",
        |arena| across_holes(arena, Fs::Xfs),
    )
    .tag("dir-h-xfs"),
    Traffic::new(
        "direct-holes-btrfs",
        "O_DIRECT reads on btrfs across holes and unwritten extents: zeros, made by a CPU",
        |arena| across_holes(arena, Fs::Btrfs),
    )
    .tag("dir-h-btrfs"),
    Traffic::new(
        "direct-vfat",
        "O_DIRECT reads, the last one short, and writes on vfat",
        |arena| over_a_file(arena, Fs::Vfat),
    )
    .tag("dir-vfat"),
    Traffic::new(
        "direct-exfat",
        "O_DIRECT reads, the last one short, and writes on exfat",
        |arena| over_a_file(arena, Fs::Exfat),
    )
    .tag("dir-exfat"),
    Traffic::new(
        "direct-holes-exfat",
        "O_DIRECT reads on exfat behind what was ever written: zeros, made by a CPU",
        behind_the_data,
    )
    .tag("dir-h-exfat"),
    Traffic::new(
        "direct-tmpfs",
        "O_DIRECT on tmpfs: accepted, and copied after all",
        tmpfs,
    )
    .tag("dir-tmpfs"),
    Traffic::new(
        "direct-block",
        "O_DIRECT reads and writes of a block device",
        block_device,
    )
    .tag("dir-block"),
];

/// Bytes per call: aligned, as `O_DIRECT` demands.
const CHUNK: usize = 64 * 1024;

fn past_the_cache(arena: &Arena, fs: Fs) -> Result<Prepared> {
    let bytes = whole_pages(arena.sizes.bytes);
    let prepared = reads(arena, fs)?;
    let to = arena.file_with(fs, 0, libc::O_DIRECT)?;
    and_writes(prepared, arena, fs, to, bytes)
}

/// Writes within a file: to make it longer, these filesystems copy.
fn over_a_file(arena: &Arena, fs: Fs) -> Result<Prepared> {
    let bytes = whole_pages(arena.sizes.bytes);
    let prepared = reads(arena, fs)?;
    let to = arena.file_with(fs, bytes, libc::O_DIRECT)?;
    evict(&to)?;
    and_writes(prepared, arena, fs, to, bytes)
}

/// Writes as many bytes to a file after the reads, past the page cache.
fn and_writes(
    mut prepared: Prepared,
    arena: &Arena,
    fs: Fs,
    to: File,
    bytes: u64,
) -> Result<Prepared> {
    prepared.expected.add(
        ExpectedRow::new(Op::Write, fs.object())
            .ops(calls(bytes, CHUNK))
            .class(Class::Direct, bytes)
            .evidence(arena.direct_evidence(fs)),
    );
    let read = prepared.run;
    prepared.run = Box::new(move || {
        read()?;
        write_all(&to, bytes)
    });
    Ok(prepared)
}

/// exfat keeps how much of a file was ever written, and newer kernels read zeros behind that. Older ones
/// write the zeros when the file is made longer, which the kernel counts.
fn behind_the_data(arena: &Arena) -> Result<Prepared> {
    const DATA: u64 = 256 * 1024;
    const BEHIND: u64 = 256 * 1024 + 50_001;
    const ACROSS: usize = 80 * 1024;
    let file = arena.file_with(Fs::Exfat, DATA, libc::O_DIRECT)?;
    let before = written_by_now()?;
    file.set_len(DATA + BEHIND)?;
    if written_by_now()? - before >= BEHIND {
        return Err(Skip("this kernel's exfat writes zeros to the disk".to_owned()).into());
    }
    file.sync_all()?;
    evict(&file)?;
    let bytes = DATA + BEHIND;
    // One read goes across the end of the data. Those behind it ask no device.
    let expected = Expected::new().row(
        ExpectedRow::new(Op::Read, Fs::Exfat.object())
            .ops(calls(bytes, ACROSS) + 1)
            .class(Class::Direct, DATA)
            .class(Class::Synthetic, BEHIND + CHUNK as u64)
            .evidence(Wanted::Any),
    );
    Ok(Prepared::new(expected, move || {
        let mut to = Buffer::zeroed(ACROSS)?;
        exactly(bytes, ACROSS, |_, _| read(&file, &mut to))?;
        let some = pread(&file, &mut to[..CHUNK], DATA.cast_signed())?;
        ensure!(some == CHUNK, "read {some} bytes");
        Ok(())
    }))
}

/// Bytes that this process has made the kernel write to disks so far.
fn written_by_now() -> Result<u64> {
    let io = fs::read_to_string("/proc/self/io")?;
    let line = io
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: "));
    Ok(line.context("write_bytes")?.parse()?)
}

fn write_all(to: &File, bytes: u64) -> Result<()> {
    let from = Buffer::filled(CHUNK)?;
    exactly(bytes, CHUNK, |_, length| write(to, &from[..length]))
}

/// The last read asks for whole blocks and gets what is left of the file.
fn reads(arena: &Arena, fs: Fs) -> Result<Prepared> {
    let bytes = arena.sizes.bytes;
    let file = arena.file_with(fs, bytes, libc::O_DIRECT)?;
    evict(&file)?;
    let expected = Expected::new().row(
        ExpectedRow::new(Op::Read, fs.object())
            .ops(calls(bytes, CHUNK))
            .class(Class::Direct, bytes)
            .evidence(arena.direct_evidence(fs)),
    );
    Ok(Prepared::new(expected, move || read_to_end(&file, bytes)))
}

fn read_to_end(file: &File, bytes: u64) -> Result<()> {
    let mut to = Buffer::zeroed(CHUNK)?;
    exactly(bytes, CHUNK, |_, _| read(file, &mut to))
}

/// With checksums, the data must not change under way, so newer kernels copy it first.
fn btrfs_write(arena: &Arena) -> Result<Prepared> {
    let class = match kernel_version()? {
        // Some stable series between have the change and some do not.
        (0..=5, _) | (6, 0..=5) => Class::Direct,
        (6, 12 | 15..) | (7.., _) => Class::CopiedFromUser,
        (major, minor) => {
            let reason = format!("not established whether {major}.{minor} copies");
            return Err(Skip(reason).into());
        }
    };
    let to = arena.file_with(Fs::Btrfs, 0, libc::O_DIRECT)?;
    Ok(btrfs_writes(arena, to, class))
}

fn btrfs_write_without_checksums(arena: &Arena) -> Result<Prepared> {
    let path = arena.fs(Fs::Btrfs)?.join("nocow");
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .custom_flags(libc::O_DIRECT)
        .open(&path)?;
    fs::remove_file(&path)?;
    set_inode_flags(&file, FS_NOCOW_FL)?;
    Ok(btrfs_writes(arena, file, Class::Direct))
}

fn btrfs_writes(arena: &Arena, to: File, class: Class) -> Prepared {
    let bytes = whole_pages(arena.sizes.bytes);
    let evidence = match class {
        Class::Direct => arena.direct_evidence(Fs::Btrfs),
        _ => Evidence::Measured,
    };
    let expected = Expected::new().row(
        ExpectedRow::new(Op::Write, Fs::Btrfs.object())
            .ops(calls(bytes, CHUNK))
            .class(class, bytes)
            .evidence(evidence),
    );
    Prepared::new(expected, move || write_all(&to, bytes))
}

/// Other filesystems refuse lengths that are not whole blocks; btrfs falls back to its page cache.
fn unaligned(arena: &Arena) -> Result<Prepared> {
    const ODD: usize = 10_001;
    let bytes = arena.sizes.bytes;
    let from = arena.file_with(Fs::Btrfs, bytes, libc::O_DIRECT)?;
    let to = arena.file_with(Fs::Btrfs, 0, libc::O_DIRECT)?;
    let object = Fs::Btrfs.object();
    let calls = calls(bytes, ODD);
    let expected = Expected::new()
        .moves(Op::Read, object, Class::CopiedToUser, calls, bytes)
        .moves(Op::Write, object, Class::CopiedFromUser, calls, bytes);
    Ok(Prepared::new(expected, move || {
        let mut buffer = Buffer::filled(ODD)?;
        exactly(bytes, ODD, |_, length| write(&to, &buffer[..length]))?;
        exactly(bytes, ODD, |_, length| read(&from, &mut buffer[..length]))
    }))
}

/// One read: the extents of the first half are read directly, those of the second have to be
/// expanded into the page cache and copied from there. (The buffer must be present: into memory
/// that would have to be faulted in, btrfs copies all of it.)
fn compressed_tail(arena: &Arena) -> Result<Prepared> {
    const HALF: usize = 128 * 1024;
    let path = arena.fs(Fs::Btrfs)?.join("tail");
    let mut bytes = vec![0; HALF];
    fill(&mut bytes);
    let mut file = File::create_new(&path)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    set_inode_flags(&file, FS_COMPR_FL)?;
    // So uniform that btrfs is sure to find it worth compressing.
    file.write_all_at(&[b'z'; HALF], HALF as u64)?;
    file.sync_all()?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECT)
        .open(&path)?;
    fs::remove_file(&path)?;
    evict(&file)?;
    let expected = Expected::new().row(
        ExpectedRow::new(Op::Read, Fs::Btrfs.object())
            .ops(1)
            .class(Class::Direct, HALF as u64)
            .class(Class::CopiedToUser, HALF as u64)
            .evidence(Wanted::Any),
    );
    Ok(Prepared::new(expected, move || {
        let mut to = Buffer::zeroed(2 * HALF)?;
        let some = read(&file, &mut to)?;
        ensure!(some == 2 * HALF, "read {some} bytes");
        Ok(())
    }))
}

/// A file with data, a hole, an extent that was never written, data, and a hole to its end.
pub(in crate::workload) struct WithHoles {
    pub(in crate::workload) file: File,
    /// Its length.
    pub(in crate::workload) bytes: u64,
    /// How much of that is data.
    pub(in crate::workload) data: u64,
}

impl WithHoles {
    const PART: u64 = 128 * 1024;

    /// The file, opened with `O_DIRECT`; `tail` bytes are behind its data.
    pub(in crate::workload) fn new(arena: &Arena, fs: Fs, tail: u64) -> Result<Self> {
        let part = Self::PART;
        let file = arena.file_with(fs, 0, libc::O_DIRECT)?;
        let from = Buffer::filled(CHUNK)?;
        let data = [0, 3 * part];
        for start in data {
            for offset in (start..start + part).step_by(CHUNK) {
                let some = pwrite(&file, &from, offset.cast_signed())?;
                ensure!(some == CHUNK, "wrote {some} bytes");
            }
        }
        let (start, length) = (2 * part, part);
        fallocate(
            &file,
            FallocateFlags::empty(),
            start.cast_signed(),
            length.cast_signed(),
        )
        .context("an extent that was never written")?;
        let bytes = 4 * part + tail;
        file.set_len(bytes)?;
        file.sync_all()?;
        evict(&file)?;
        Ok(Self {
            file,
            bytes,
            data: data.len() as u64 * part,
        })
    }

    /// Adds to a row what one reading of the file moves.
    pub(in crate::workload) fn read_once(&self, row: ExpectedRow) -> ExpectedRow {
        row.class(Class::Direct, self.data)
            .class(Class::Synthetic, self.bytes - self.data)
            // What is direct can be a conclusion, and what is zeros is not.
            .evidence(Wanted::Any)
    }
}

/// Reads that begin and end within the parts, and the last one short.
fn across_holes(arena: &Arena, fs: Fs) -> Result<Prepared> {
    const ACROSS: usize = 80 * 1024;
    let holes = WithHoles::new(arena, fs, 50_001)?;
    let (file, bytes) = (holes.file.try_clone()?, holes.bytes);
    let row = ExpectedRow::new(Op::Read, fs.object()).ops(calls(bytes, ACROSS));
    let expected = Expected::new().row(holes.read_once(row));
    Ok(Prepared::new(expected, move || {
        let mut to = Buffer::zeroed(ACROSS)?;
        exactly(bytes, ACROSS, |_, _| read(&file, &mut to))
    }))
}

fn tmpfs(arena: &Arena) -> Result<Prepared> {
    let bytes = arena.sizes.bytes;
    let refused = |error: anyhow::Error| match error.downcast_ref::<std::io::Error>() {
        Some(io) if io.raw_os_error() == Some(libc::EINVAL) => {
            Skip("this kernel's tmpfs refuses O_DIRECT".to_owned()).into()
        }
        _ => error,
    };
    let from = arena
        .file_with(Fs::Tmpfs, bytes, libc::O_DIRECT)
        .map_err(refused)?;
    let to = arena.file_with(Fs::Tmpfs, 0, libc::O_DIRECT)?;
    let written = whole_pages(bytes);
    let object = Fs::Tmpfs.object();
    let expected = Expected::new()
        .moves(
            Op::Read,
            object,
            Class::CopiedToUser,
            calls(bytes, CHUNK),
            bytes,
        )
        .moves(
            Op::Write,
            object,
            Class::CopiedFromUser,
            calls(written, CHUNK),
            written,
        );
    Ok(Prepared::new(expected, move || {
        read_to_end(&from, bytes)?;
        write_all(&to, written)
    }))
}

fn block_device(arena: &Arena) -> Result<Prepared> {
    let bytes = whole_pages(arena.sizes.bytes);
    let (device, from, to) = opened_direct(arena, bytes)?;
    let row = |op| {
        ExpectedRow::new(op, "block")
            .ops(calls(bytes, CHUNK))
            .class(Class::Direct, bytes)
            .evidence(device.direct_evidence())
    };
    let expected = Expected::new().row(row(Op::Read)).row(row(Op::Write));
    let mut prepared = Prepared::new(expected, move || {
        let mut buffer = Buffer::zeroed(CHUNK)?;
        exactly(bytes, CHUNK, |_, length| read(&from, &mut buffer[..length]))?;
        write_all(&to, bytes)
    });
    prepared.keep.push(Box::new(device));
    Ok(prepared)
}

const FS_COMPR_FL: libc::c_int = 0x4;
const FS_NOCOW_FL: libc::c_int = 0x0080_0000;

fn set_inode_flags(file: &File, flags: libc::c_int) -> Result<()> {
    // SAFETY: FS_IOC_SETFLAGS reads an int, whatever its number says, and it outlives the call.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::FS_IOC_SETFLAGS, &raw const flags) };
    Errno::result(result).context("FS_IOC_SETFLAGS")?;
    Ok(())
}

/// Major and minor version of the running kernel.
fn kernel_version() -> Result<(u32, u32)> {
    let name = nix::sys::utsname::uname()?;
    parse_version(&name.release().to_string_lossy()).context("the kernel's version")
}

fn parse_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(parse_version("6.12.95+deb13-amd64"), Some((6, 12)));
        assert_eq!(parse_version("7.2-rc1"), Some((7, 2)));
        assert_eq!(parse_version("next"), None);
    }
}
