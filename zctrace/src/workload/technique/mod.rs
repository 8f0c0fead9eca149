//! The workloads of `zctrace bench`: techniques to move bytes, each with its truth known before it
//! runs. One file holds one technique; a new one is added to [`ALL`].

mod af_xdp;
mod aio;
mod copy_file_range;
mod cow;
mod cow_send;
mod direct_read;
mod direct_write;
mod echo;
mod fbufs;
mod fork_snapshot;
mod fuse;
mod hugetlb_cow;
mod hybrid;
mod ktls_sendfile;
mod load;
mod mmap_read;
mod mmap_write;
mod overlay_copyup;
mod pieces;
mod pipe_ipc;
mod process_vm;
mod read_write;
mod read_write_file;
mod receiver;
mod ring;
mod sendfile;
mod sendfile_file;
mod splice;
mod splice_proxy;
mod tee;
mod unix_ipc;
mod uring;
mod vmsplice;
mod zerocopy_receive;
mod zerocopy_send;

use std::{fmt, fs::File};

use anyhow::Result;

pub use pieces::Pieces;

use super::{
    Arena, Prepared,
    scene::mounts::Fs,
    stage::{mapping::page_size, shared::Shared},
};

/// Every technique, in the order in which they are listed.
pub const ALL: &[&Technique] = &[
    &read_write::TECHNIQUE,
    &mmap_write::TECHNIQUE,
    &mmap_read::TECHNIQUE,
    &load::TECHNIQUE,
    &sendfile::TECHNIQUE,
    &sendfile_file::TECHNIQUE,
    &read_write_file::TECHNIQUE,
    &splice::TECHNIQUE,
    &splice_proxy::TECHNIQUE,
    &vmsplice::TECHNIQUE,
    &tee::TECHNIQUE,
    &copy_file_range::TECHNIQUE,
    &direct_read::TECHNIQUE,
    &direct_write::TECHNIQUE,
    &cow::TECHNIQUE,
    &fork_snapshot::TECHNIQUE,
    &cow_send::TECHNIQUE,
    &fbufs::TECHNIQUE,
    &zerocopy_send::TECHNIQUE,
    &zerocopy_receive::TECHNIQUE,
    &echo::EPOLL,
    &echo::POLL,
    &echo::SELECT,
    &aio::READ,
    &aio::WRITE,
    &uring::read::TECHNIQUE,
    &uring::write::TECHNIQUE,
    &uring::read_fixed::TECHNIQUE,
    &uring::direct::TECHNIQUE,
    &uring::mmap::TECHNIQUE,
    &uring::send::TECHNIQUE,
    &uring::send_zc::TECHNIQUE,
    &uring::recv_ring::TECHNIQUE,
    &uring::recv_zc::TECHNIQUE,
    &uring::splice::TECHNIQUE,
    &uring::sqpoll::TECHNIQUE,
    &hugetlb_cow::TECHNIQUE,
    &fuse::TECHNIQUE,
    &overlay_copyup::TECHNIQUE,
    &ktls_sendfile::TECHNIQUE,
    &af_xdp::TECHNIQUE,
    &process_vm::TECHNIQUE,
    &unix_ipc::TECHNIQUE,
    &pipe_ipc::TECHNIQUE,
    &hybrid::TECHNIQUE,
];

/// What techniques are alternatives for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// A file is sent over a TCP connection.
    Serve,
    /// A file is copied to another one.
    CopyFile,
    /// A file is read.
    ReadFile,
    /// A large file is loaded, once.
    Load,
    /// A file is written.
    WriteFile,
    /// A TCP stream is passed on.
    Proxy,
    /// Memory is sent over a TCP connection.
    SendMemory,
    /// A TCP stream is received into memory.
    Receive,
    /// Data that others keep using is changed.
    Modify,
    /// Memory is saved while it is being written to.
    Snapshot,
    /// Data goes through several processes.
    Pass,
    /// A server answers many connections.
    Echo,
    /// A server of its own kind.
    Server,
}

impl Job {
    /// For a sentence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Serve => "sending a file over TCP",
            Self::CopyFile => "copying a file",
            Self::ReadFile => "reading a file",
            Self::Load => "loading a large file",
            Self::WriteFile => "writing a file",
            Self::Proxy => "passing on a TCP stream",
            Self::SendMemory => "sending memory over TCP",
            Self::Receive => "receiving over TCP",
            Self::Modify => "changing shared data",
            Self::Snapshot => "saving memory in use",
            Self::Pass => "passing data between processes",
            Self::Echo => "answering many connections",
            Self::Server => "serving mixed requests",
        }
    }
}

/// A technique, in one or several variants.
#[derive(Debug)]
pub struct Technique {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// What else could do the same.
    pub job: Job,
    /// Whether a fraction of the data is modified.
    pub modifies: bool,
    /// Its variants, the usual one first.
    pub variants: &'static [Variant],
}

/// One way to do it.
#[derive(Debug)]
pub struct Variant {
    /// Its name behind the technique's; empty if there is only one.
    pub name: &'static str,
    /// What is special about it, in a few words.
    pub about: &'static str,
    /// The name of its processes, at most 11 bytes.
    pub tag: &'static str,
    /// Makes everything ready, and says what will happen.
    pub prepare: fn(&Setting<'_>) -> Result<Ready>,
}

impl Technique {
    /// A technique of one variant.
    const fn new(
        name: &'static str,
        summary: &'static str,
        job: Job,
        variants: &'static [Variant],
    ) -> Self {
        Self {
            name,
            summary,
            job,
            modifies: false,
            variants,
        }
    }

    const fn modifying(mut self) -> Self {
        self.modifies = true;
        self
    }
}

impl Variant {
    const fn only(tag: &'static str, prepare: fn(&Setting<'_>) -> Result<Ready>) -> Self {
        Self::new("", "", tag, prepare)
    }

    const fn new(
        name: &'static str,
        about: &'static str,
        tag: &'static str,
        prepare: fn(&Setting<'_>) -> Result<Ready>,
    ) -> Self {
        Self {
            name,
            about,
            tag,
            prepare,
        }
    }
}

/// A technique in one of its variants.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// The technique.
    pub technique: &'static Technique,
    /// The variant.
    pub variant: &'static Variant,
}

impl Workload {
    /// Every variant of every technique.
    pub fn all() -> impl Iterator<Item = Self> {
        ALL.iter().flat_map(|technique| Self::of(technique))
    }

    /// The same, those for one job together: as they are listed for people.
    #[must_use]
    pub fn by_job() -> Vec<Self> {
        let mut left: Vec<Self> = Self::all().collect();
        let mut listed = Vec::with_capacity(left.len());
        while let Some(job) = left.first().map(|workload| workload.technique.job) {
            listed.extend(left.extract_if(.., |workload| workload.technique.job == job));
        }
        listed
    }

    /// Those that `name` stands for: `fbufs` is all its variants, `fbufs:pipe` one.
    #[must_use]
    pub fn find(name: &str) -> Vec<Self> {
        Self::all()
            .filter(|workload| workload.technique.name == name || workload.name() == name)
            .collect()
    }

    fn of(technique: &'static Technique) -> impl Iterator<Item = Self> {
        technique
            .variants
            .iter()
            .map(move |variant| Self { technique, variant })
    }

    /// `sendfile`, or with the variant: `fbufs:pipe`.
    #[must_use]
    pub fn name(&self) -> String {
        if self.variant.name.is_empty() {
            return self.technique.name.to_owned();
        }
        format!("{}:{}", self.technique.name, self.variant.name)
    }

    /// What it does, in a line.
    #[must_use]
    pub fn summary(&self) -> String {
        if self.variant.about.is_empty() {
            return self.technique.summary.to_owned();
        }
        format!("{}: {}", self.technique.summary, self.variant.about)
    }
}

/// How much a workload does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    /// Bytes to move.
    pub bytes: u64,
    /// Bytes per call.
    pub buffer: usize,
    /// Most bytes of a file or a region of memory, which is used again and again.
    pub file: u64,
    /// Connections of a server.
    pub connections: usize,
    /// The part of the data that is modified, from 0 to 1.
    pub fraction: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            bytes: 256 << 20,
            buffer: 64 << 10,
            file: 64 << 20,
            connections: 64,
            fraction: 0.1,
        }
    }
}

impl Parameters {
    /// How long the file is.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.bytes.min(self.file)
    }

    /// What is moved in which calls of at most `most` bytes.
    #[must_use]
    pub fn pieces(&self, most: usize) -> Pieces {
        Pieces::new(self.bytes, self.buffer.min(most), self.length())
    }

    /// How many of `pages` are modified.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a fraction from 0 to 1 of a number of pages"
    )]
    pub fn modified(&self, pages: usize) -> usize {
        ((pages as f64 * self.fraction).round() as usize).min(pages)
    }
}

/// Where one run of a workload takes place.
pub struct Setting<'a> {
    /// Files and filesystems.
    pub arena: &'a Arena,
    /// Memory shared with the processes of this run.
    pub shared: Shared,
    /// How much.
    pub parameters: Parameters,
}

impl Setting<'_> {
    /// The file that is read: at its beginning, in the page cache.
    fn source(&self, fs: Fs) -> Result<File> {
        self.arena.common_file(fs, self.parameters.length(), 0)
    }

    /// How many whole pages the region of memory has: at least one if anything is moved.
    fn pages(&self) -> usize {
        self.parameters.length().div_ceil(page_size() as u64) as usize
    }
}

/// A workload that is ready to run.
pub struct Ready {
    /// Its processes and their truth.
    pub prepared: Prepared,
    /// How many bytes it carries from its beginning to its end.
    pub payload: u64,
    /// What it reports beside the ledger; called after the run.
    pub figures: Option<Box<dyn FnOnce() -> Vec<Figure>>>,
}

/// A number that only the workload itself knows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// Its name, with the unit.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
}

impl Figure {
    /// `sum / count`, nothing if there was none.
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    fn mean(name: &'static str, sum: u64, count: u64) -> Option<Self> {
        let value = sum as f64 / count as f64;
        (count != 0).then_some(Self { name, value })
    }

    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    fn count(name: &'static str, value: u64) -> Self {
        Self {
            name,
            value: value as f64,
        }
    }
}

impl Ready {
    fn new(payload: u64, prepared: Prepared) -> Self {
        Self {
            prepared,
            payload,
            figures: None,
        }
    }

    fn figures(mut self, figures: impl FnOnce() -> Vec<Figure> + 'static) -> Self {
        self.figures = Some(Box::new(figures));
        self
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready")
            .field("prepared", &self.prepared)
            .field("payload", &self.payload)
            .finish_non_exhaustive()
    }
}

/// The roles of processes that are only the other end of a connection, which every technique for
/// the same job needs alike: what they do is compared, but is not a cost of the technique.
pub const FAR_ENDS: [&str; 2] = [Prepared::PEER, "source"];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{super::comm, *};

    #[test]
    fn names_and_processes_are_unique() {
        let (mut names, mut tags) = (HashSet::new(), HashSet::new());
        for workload in Workload::all() {
            assert!(names.insert(workload.name()), "{}", workload.name());
            let tag = workload.variant.tag;
            assert!(tags.insert(tag), "{tag} twice");
            assert!(comm(tag, "").len() <= 15, "{tag}");
            assert!(!workload.summary().is_empty());
        }
    }

    #[test]
    fn a_name_stands_for_its_variants() {
        assert_eq!(Workload::find("sendfile").len(), 1);
        assert!(Workload::find("fbufs").len() >= 5);
        assert_eq!(Workload::find("fbufs:pipe").len(), 1);
        assert!(Workload::find("fbufs:nothing").is_empty());
    }

    #[test]
    fn fractions_are_of_whole_pages() {
        let modified = |fraction, pages| {
            Parameters {
                fraction,
                ..Parameters::default()
            }
            .modified(pages)
        };
        assert_eq!(modified(0.0, 10), 0);
        assert_eq!(modified(0.1, 16), 2);
        assert_eq!(modified(1.0, 7), 7);
    }
}
