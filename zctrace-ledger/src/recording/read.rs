//! Reading recordings.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::{
    VERSION,
    beside::Beside,
    error::{Damage, Error},
    frame::{self, End, Frame, Kind, MAGIC, PREAMBLE, WITH_END},
    limits,
    tables::Tables,
    whole::{TooMuch, Whole},
    wire::Header,
};
use crate::ledger::{Snapshot, Target};

/// Whole intervals, and nothing behind them.
const UNENDED: &str =
    "it stops without an end (the recorder was killed or is not done, or the file was cut)";

/// A recording that is being read: an iterator over its intervals.
///
/// It ends at the end of the file or at the first frame that is not sound; [`Recording::damage`]
/// tells which.
#[derive(Debug)]
pub struct Recording<R = BufReader<File>> {
    path: PathBuf,
    from: R,
    version: u16,
    header: Header,
    target: Target,
    /// Length of the file when it was opened.
    length: u64,
    /// Offset of the first interval, and of the next one.
    first: u64,
    at: u64,
    /// Number of the next interval.
    index: usize,
    tables: Tables,
    beside: Option<Beside>,
    damage: Option<Damage>,
}

/// A place in a recording to come back to, see [`Recording::mark`].
#[derive(Clone, Debug)]
pub struct Mark {
    at: u64,
    index: usize,
    tables: Tables,
}

impl Recording {
    /// Opens a recording.
    ///
    /// # Errors
    ///
    /// When there is nothing sound to read.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let fail = |source| Error::Read {
            path: path.to_owned(),
            source,
        };
        // A pipe that nobody writes to would be waited for.
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_NONBLOCK);
        let file = options.open(path).map_err(fail)?;
        if !file.metadata().map_err(fail)?.is_file() {
            // A pipe could not be read twice, a directory not at all.
            return Err(fail(io::Error::other("not a regular file")));
        }
        Self::read(BufReader::new(file), path)
    }
}

impl<R: Read + Seek> Recording<R> {
    /// Reads a recording; `path` is for messages.
    ///
    /// # Errors
    ///
    /// As [`Recording::open`].
    pub fn read(mut from: R, path: &Path) -> Result<Self, Error> {
        let path = path.to_owned();
        let (length, version) = match begin(&mut from) {
            Ok(begin) => begin,
            Err(bad) => return Err(bad.of(path)),
        };
        let (header, first) = match header(&mut from) {
            Ok(header) => header,
            Err(bad) => return Err(bad.of(path)),
        };
        let Some(target) = header.target() else {
            return Err(Bad::header("an unknown kind of target").of(path));
        };
        Ok(Self {
            path,
            from,
            version,
            header,
            target,
            length,
            first,
            at: first,
            index: 0,
            tables: Tables::default(),
            beside: None,
            damage: None,
        })
    }

    /// What was recorded, and where.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Where reading had to stop, once it has.
    pub const fn damage(&self) -> Option<Damage> {
        self.damage
    }

    /// What was recorded beside the interval that was read last; `None` in recordings that do not
    /// hold it.
    pub const fn beside(&self) -> Option<&Beside> {
        self.beside.as_ref()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of the next interval, from 0.
    pub const fn position(&self) -> usize {
        self.index
    }

    /// Makes interval `index` the next one; beyond the last it is the end. Returns the number of
    /// the next interval.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn seek(&mut self, index: usize) -> Result<usize, Error> {
        if index < self.index {
            let sought = self.from.seek(SeekFrom::Start(self.first));
            sought.map_err(|source| Error::Read {
                path: self.path.clone(),
                source,
            })?;
            self.at = self.first;
            self.index = 0;
            self.tables = Tables::default();
            self.damage = None;
        }
        while self.index < index {
            match self.next() {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => break,
            }
        }
        Ok(self.index)
    }

    /// The place of the next interval, to come back to without reading what is before it.
    pub fn mark(&self) -> Mark {
        Mark {
            at: self.at,
            index: self.index,
            tables: self.tables.clone(),
        }
    }

    /// Makes the interval at a mark of this recording the next one.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn back_to(&mut self, mark: &Mark) -> Result<(), Error> {
        let sought = self.from.seek(SeekFrom::Start(mark.at));
        sought.map_err(|source| Error::Read {
            path: self.path.clone(),
            source,
        })?;
        self.at = mark.at;
        self.index = mark.index;
        self.tables = mark.tables.clone();
        self.damage = None;
        Ok(())
    }

    /// The document of no interval, to add those to that are read one by one.
    pub fn begin(&self) -> Whole {
        Whole::new(&self.header, &self.target, self.length)
    }

    /// Adds an interval of this recording to a document that it began.
    ///
    /// # Errors
    ///
    /// When that takes too much memory.
    pub fn add_to(&self, whole: &mut Whole, interval: &Snapshot) -> Result<(), Error> {
        let added = whole.add(interval);
        added.map_err(|_: TooMuch| Error::TooMuch(self.path.clone()))
    }

    /// Everything from the next interval on as one document.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or takes too much memory.
    pub fn whole(&mut self) -> Result<Whole, Error> {
        let mut whole = self.begin();
        while let Some(snapshot) = self.next() {
            self.add_to(&mut whole, &snapshot?)?;
        }
        Ok(whole)
    }
}

impl<R: Read + Seek> Iterator for Recording<R> {
    type Item = Result<Snapshot, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.damage.is_some() {
            return None;
        }
        let damage = match frame::decode(&mut self.from, self.at) {
            Ok(Frame {
                kind: Kind::Interval,
                payload,
                next,
                mut budget,
            }) => {
                let read = self
                    .tables
                    .read(&payload, &self.header, &self.target, &mut budget);
                if let Some((snapshot, beside)) = read {
                    self.beside = beside;
                    self.at = next;
                    self.index += 1;
                    return Some(Ok(snapshot));
                }
                Damage {
                    at: self.at,
                    what: "an unreadable interval",
                }
            }
            Ok(Frame {
                kind: Kind::Header, ..
            }) => Damage {
                at: self.at,
                what: "a second header",
            },
            Ok(Frame {
                kind: Kind::End,
                next,
                ..
            }) if self.version >= WITH_END => {
                match frame::decode(&mut self.from, next) {
                    Err(End::Clean) => {
                        // To come to this frame again, should another interval be asked for.
                        let _ = self.from.seek(SeekFrom::Start(self.at));
                        return None;
                    }
                    _ => Damage {
                        at: next,
                        what: "something behind its end",
                    },
                }
            }
            Ok(Frame {
                kind: Kind::End, ..
            }) => Damage {
                at: self.at,
                what: "a frame of an unknown kind",
            },
            Err(End::Clean) if self.version < WITH_END => return None,
            Err(End::Clean) => Damage {
                at: self.at,
                what: UNENDED,
            },
            Err(End::Damaged(damage)) => damage,
            Err(End::Failed(source)) => {
                let path = self.path.clone();
                return Some(Err(Error::Read { path, source }));
            }
        };
        self.damage = Some(damage);
        None
    }
}

/// Why a file is no recording.
enum Bad {
    Read(io::Error),
    NotOne,
    Version(u16),
    Damaged(Damage),
}

impl Bad {
    /// What is wrong with the first frame.
    const fn header(what: &'static str) -> Self {
        let at = PREAMBLE as u64;
        Self::Damaged(Damage { at, what })
    }

    fn of(self, path: PathBuf) -> Error {
        match self {
            Self::Read(source) => Error::Read { path, source },
            Self::NotOne => Error::NotOne(path),
            Self::Version(found) => Error::Version { path, found },
            Self::Damaged(damage) => Error::Damaged { path, damage },
        }
    }
}

/// The length of a file, and the version of the format that it begins with.
fn begin(from: &mut (impl Read + Seek)) -> Result<(u64, u16), Bad> {
    let length = from.seek(SeekFrom::End(0)).map_err(Bad::Read)?;
    from.rewind().map_err(Bad::Read)?;
    let mut preamble = Vec::new();
    from.by_ref()
        .take(PREAMBLE as u64)
        .read_to_end(&mut preamble)
        .map_err(Bad::Read)?;
    let Some((magic, version)) = preamble.split_at_checked(MAGIC.len()) else {
        return Err(Bad::NotOne);
    };
    let &[low, high] = version else {
        return Err(Bad::NotOne);
    };
    if magic != MAGIC {
        return Err(Bad::NotOne);
    }
    let found = u16::from_le_bytes([low, high]);
    if !(1..=VERSION).contains(&found) {
        return Err(Bad::Version(found));
    }
    Ok((length, found))
}

/// The first frame, and the offset of the one behind it.
fn header(from: &mut impl Read) -> Result<(Header, u64), Bad> {
    match frame::decode(from, PREAMBLE as u64) {
        Ok(Frame {
            kind: Kind::Header,
            payload,
            next,
            ..
        }) => match postcard::from_bytes::<Header>(&payload) {
            // It is in the document of every interval.
            Ok(header) if payload.len() <= limits::MOST_HEADER => Ok((header, next)),
            _ => Err(Bad::header("an unreadable header")),
        },
        Ok(_) => Err(Bad::header("no header")),
        Err(End::Clean) => Err(Bad::header("nothing")),
        Err(End::Damaged(damage)) => Err(Bad::Damaged(damage)),
        Err(End::Failed(source)) => Err(Bad::Read(source)),
    }
}
