//! The pipe on which a command marks its regions.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    mem,
    os::fd::{AsRawFd as _, BorrowedFd, OwnedFd, RawFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use nix::{
    fcntl::{FcntlArg, FdFlag, OFlag, fcntl},
    sys::stat::{fstat, major, minor},
    unistd::pipe2,
};

use crate::{
    ledger::{Markers, Region},
    tracer,
};

/// The environment variable that tells a command the number of the descriptor.
pub const REGION_FD: &str = "ZCTRACE_REGION_FD";

/// Lines are no longer than this; what is longer is no marker.
const LONGEST: u64 = 512;

/// Most different lines that are kept; further ones are only counted.
const MOST: usize = 16_384;

/// What ends the reading of markers: zctrace's own last line, behind a line end for what the command left without one.
const LAST: &[u8] = b"\n\0\n";
/// The last line.
const LAST_LINE: &[u8] = b"\0\n";

/// The pipe.
#[derive(Debug)]
pub struct Channel {
    markers: OwnedFd,
    lines: OwnedFd,
}

impl Channel {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn new() -> io::Result<Self> {
        let (lines, markers) = pipe2(OFlag::O_CLOEXEC)?;
        Ok(Self { markers, lines })
    }

    /// What the programs in the kernel know it by.
    ///
    /// # Errors
    ///
    /// When the kernel does not tell.
    pub fn known_by(&self) -> io::Result<tracer::Channel> {
        let stat = fstat(&self.markers)?;
        // The kernel's own encoding: 12 bits of major number, 20 of minor.
        let device = major(stat.st_dev) << 20 | minor(stat.st_dev);
        Ok(tracer::Channel {
            inode: stat.st_ino,
            device: u32::try_from(device).unwrap_or(u32::MAX),
        })
    }

    /// The end that the command writes to.
    pub(super) fn descriptor(&self) -> RawFd {
        self.markers.as_raw_fd()
    }

    /// A number for the descriptor in the command, other than `taken`: of one digit if there is one, because shells such
    /// as dash take no other. What the command does not inherit leaves its number free.
    pub(super) fn number(taken: &[RawFd]) -> RawFd {
        let is_free = |number: &RawFd| {
            // SAFETY: it asks about a number, whatever is behind it.
            let fd = unsafe { BorrowedFd::borrow_raw(*number) };
            let stays = |flags| flags & FdFlag::FD_CLOEXEC.bits() == 0;
            !taken.contains(number) && !fcntl(fd, FcntlArg::F_GETFD).is_ok_and(stays)
        };
        let later = || (10..RawFd::MAX).find(is_free);
        let number = (3..10).rev().find(is_free).or_else(later);
        number.expect("a process has a limit of descriptors, and they are numbered from 0 on")
    }

    /// What reads the lines.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn reader(&self) -> io::Result<Reader> {
        Ok(Reader {
            lines: self.lines.try_clone()?.into(),
            markers: self.markers.try_clone()?.into(),
        })
    }
}

/// Will read the lines of a command.
#[derive(Debug)]
pub struct Reader {
    lines: File,
    markers: File,
}

impl Reader {
    /// Begins to read, in a thread of its own, so that the command never waits for long. Call it after the command's
    /// process was made.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn listen(self) -> io::Result<Listener> {
        let Self { lines, markers } = self;
        let is_over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_over);
        let reader = thread::Builder::new()
            .name("markers".into())
            .spawn(move || read(lines, &flag))?;
        Ok(Listener {
            markers,
            is_over,
            reader,
        })
    }
}

/// Reads the lines of a command.
#[derive(Debug)]
pub struct Listener {
    markers: File,
    is_over: Arc<AtomicBool>,
    reader: JoinHandle<Lines>,
}

/// The lines that were read.
#[derive(Debug, Default)]
pub struct Lines {
    counts: BTreeMap<Vec<u8>, u64>,
    /// Lines for which there was no room.
    beyond: u64,
}

impl Listener {
    /// Every line so far.
    ///
    /// # Errors
    ///
    /// When the pipe is of no use any more.
    pub fn finish(mut self) -> io::Result<Lines> {
        self.is_over.store(true, Ordering::SeqCst);
        self.markers.write_all(LAST)?;
        self.reader
            .join()
            .map_err(|_| io::Error::other("the reader of markers has ended"))
    }
}

fn read(lines: File, is_over: &AtomicBool) -> Lines {
    let mut lines = BufReader::new(lines);
    let mut seen = Lines::default();
    // The one before, because zctrace may have put its end there.
    let mut before = Vec::new();
    loop {
        let mut line = Vec::new();
        let read = (&mut lines).take(LONGEST).read_until(b'\n', &mut line);
        if !read.is_ok_and(|length| length > 0) {
            seen.add(before);
            return seen;
        }
        if line == LAST_LINE && is_over.load(Ordering::SeqCst) {
            before.pop();
            seen.add(before);
            return seen;
        }
        seen.add(mem::replace(&mut before, line));
    }
}

impl Lines {
    fn add(&mut self, line: Vec<u8>) {
        if line.is_empty() {
            return;
        }
        if let Some(count) = self.counts.get_mut(&line) {
            *count += 1;
        } else if self.counts.len() < MOST {
            self.counts.insert(line, 1);
        } else {
            self.beyond += 1;
        }
    }

    /// Compares the lines with the regions that were seen in the kernel. Each line must have been seen as one marker.
    #[must_use]
    pub fn compare(&self, regions: &[Region], markers: Markers) -> Markers {
        let mut seen: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        for region in regions {
            for (word, count) in [("begin", region.begun), ("end", region.ended)] {
                let line = format!("{word} {}\n", region.name).into_bytes();
                *seen.entry(line).or_default() += count;
            }
        }
        let mut told: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        for (line, count) in &self.counts {
            let line = line.strip_prefix(b"process ").unwrap_or(line);
            // As the kernel's side shows it.
            let line = String::from_utf8_lossy(line).into_owned().into_bytes();
            *told.entry(line).or_default() += count;
        }
        // What the kernel's side knows and did not take is told by itself.
        let apart = markers.malformed + markers.mismatched + markers.refused;
        let unseen: u64 = told
            .iter()
            .map(|(line, count)| count.saturating_sub(seen.get(line).copied().unwrap_or(0)))
            .sum();
        let unheard: u64 = seen
            .iter()
            .map(|(line, count)| count.saturating_sub(told.get(line).copied().unwrap_or(0)))
            .sum();
        Markers {
            unseen: unseen.saturating_sub(apart) + unheard + self.beyond,
            ..markers
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(name: &str, begun: u64, ended: u64) -> Region {
        Region {
            number: 1,
            parent: 0,
            name: name.into(),
            begun,
            ended,
        }
    }

    fn heard(text: &str) -> Lines {
        let channel = Channel::new().expect("a pipe");
        let listener = channel.reader().and_then(Reader::listen).expect("a reader");
        File::from(channel.markers.try_clone().expect("a descriptor"))
            .write_all(text.as_bytes())
            .expect("room in the pipe");
        listener.finish().expect("lines")
    }

    #[test]
    fn what_goes_in_must_come_out() {
        let lines = heard("begin a\nend a\nprocess begin a\n");
        let unseen = |begun, ended| {
            lines
                .compare(&[region("a", begun, ended)], Markers::default())
                .unseen
        };
        assert_eq!(unseen(2, 1), 0);
        assert_eq!(unseen(1, 1), 1);
        assert_eq!(unseen(2, 2), 1);
        assert_eq!(unseen(3, 0), 2);
        let malformed = Markers {
            malformed: 1,
            ..Markers::default()
        };
        assert_eq!(heard("nonsense\n").compare(&[], malformed).unseen, 0);
        assert_eq!(
            heard("nonsense\n").compare(&[], Markers::default()).unseen,
            1
        );
    }

    #[test]
    fn a_line_without_an_end_is_heard() {
        let lines = heard("begin a\nend");
        let keys: Vec<_> = lines.counts.keys().map(Vec::as_slice).collect();
        assert_eq!(keys, [&b"begin a\n"[..], b"end"]);
        assert_eq!(heard("").counts.len(), 0);
        assert_eq!(heard("\n").counts[&b"\n"[..]], 1);
        // Wherever what is too long is cut, reading ends.
        for length in LONGEST - 3..LONGEST + 3 {
            let cut = heard(&"x".repeat(usize::try_from(length).expect("small")));
            let bytes: usize = cut.counts.keys().map(Vec::len).sum();
            assert_eq!(bytes as u64, length);
        }
    }

    #[test]
    fn lines_take_bounded_room() {
        let mut lines = Lines::default();
        for number in 0..MOST as u64 + 3 {
            lines.add(number.to_string().into_bytes());
        }
        assert_eq!((lines.counts.len(), lines.beyond), (MOST, 3));
        let long = heard(&format!("begin {}\n", "x".repeat(600)));
        assert!(long.counts.keys().all(|line| line.len() as u64 <= LONGEST));
    }

    #[test]
    fn a_number_is_not_that_of_what_the_command_inherits() {
        let channel = Channel::new().expect("a pipe");
        let first = Channel::number(&[]);
        assert_ne!(Channel::number(&[first]), first);
        let inherited = nix::unistd::dup(&channel.markers).expect("a descriptor");
        assert_ne!(Channel::number(&[]), inherited.as_raw_fd());
    }
}
