//! The programs a guest gets: this machine's own, or Debian's for another architecture, unpacked.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    apt::{
        self,
        private::{Apt, unpack},
    },
    arch::Arch,
    paths,
};

/// Debian's packages with the programs of a guest and of its tests.
const PACKAGES: [&str; 21] = [
    "bash",
    "btrfs-progs",
    "busybox-static",
    "coreutils",
    "dash",
    "dmsetup",
    "dosfstools",
    "dpkg",
    "e2fsprogs",
    "exfatprogs",
    "fio",
    "fuse3",
    "iproute2",
    "mount",
    "nginx-light",
    "sqlite3",
    "strace",
    "tar",
    "util-linux",
    "xfsprogs",
    "zstd",
];

/// The suite they come from: its programs run on every kernel here.
const SUITE: &str = "bookworm";

/// Where programs and libraries are in a root.
const PROGRAMS: [&str; 4] = ["usr/bin", "usr/sbin", "bin", "sbin"];

/// Programs, and the libraries that they load.
#[derive(Clone, Debug)]
pub(crate) enum Userland {
    /// Those of this machine.
    Host,
    /// Those of an unpacked root.
    Unpacked { root: PathBuf, arch: Arch },
}

impl Userland {
    /// That of guests of an architecture. It is got where it is missing.
    pub(crate) fn of(arch: Arch) -> Result<Self> {
        if arch.is_native() {
            return Ok(Self::Host);
        }
        let root = directory(arch);
        if !is_here(arch) {
            get(arch).with_context(|| format!("getting programs for {arch}"))?;
        }
        Ok(Self::Unpacked { root, arch })
    }

    /// A program by its name.
    pub(crate) fn find(&self, name: &str) -> Option<PathBuf> {
        match self {
            Self::Host => paths::find_program(name),
            Self::Unpacked { root, .. } => PROGRAMS
                .iter()
                .map(|directory| root.join(directory).join(name))
                .find(|path| path.is_file()),
        }
    }

    /// What the dynamic loader would load for `program`, and where that goes in the guest; nothing for a static
    /// one or a script.
    pub(crate) fn libraries(&self, program: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
        match self {
            Self::Host => Ok(host_libraries(program)?
                .into_iter()
                .map(|path| (path.clone(), path))
                .collect()),
            Self::Unpacked { root, arch } => unpacked_libraries(root, *arch, program),
        }
    }
}

fn directory(arch: Arch) -> PathBuf {
    paths::vm_cache().join(format!("userland-{arch}"))
}

/// Whether the programs of guests of this architecture are here.
pub(crate) fn is_here(arch: Arch) -> bool {
    arch.is_native()
        || fs::read_to_string(directory(arch).join("packages"))
            .is_ok_and(|text| text == PACKAGES.join("\n"))
}

/// Downloads and unpacks the packages with all that they depend on.
fn get(arch: Arch) -> Result<()> {
    let mirror = apt::debian_mirror()?;
    let cache = paths::vm_cache();
    fs::create_dir_all(&cache)?;
    let work = tempfile::tempdir_in(&cache)?;
    eprintln!("vm: getting programs for {arch} from Debian {SUITE}");
    let apt = Apt::new(work.path(), arch, &[(&mirror, SUITE)])?;
    let packages = apt.download_with_dependencies(&PACKAGES)?;
    let root = work.path().join("root");
    fs::create_dir(&root)?;
    unpack(&packages, &root)?;
    fs::write(root.join("packages"), PACKAGES.join("\n"))?;
    let to = directory(arch);
    if to.exists() {
        fs::remove_dir_all(&to)?;
    }
    fs::rename(root, &to).with_context(|| format!("making {}", to.display()))
}

/// What the dynamic loader of this machine would load.
fn host_libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd")
        .arg(program)
        .output()
        .context("running ldd")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if let Some(line) = text.lines().find(|line| line.ends_with("not found")) {
        bail!("{}: {}", program.display(), line.trim());
    }
    Ok(parse_ldd(&text))
}

fn parse_ldd(text: &str) -> Vec<PathBuf> {
    text.lines()
        .filter_map(|line| {
            let line = line.trim();
            let found = line.split_once(" => ").map_or(line, |(_, path)| path);
            let path = found.split(" (0x").next()?;
            path.starts_with('/').then(|| PathBuf::from(path))
        })
        .collect()
}

/// The libraries that a program of another architecture names, and those that they name.
fn unpacked_libraries(root: &Path, arch: Arch, program: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut queue = vec![program.to_owned()];
    while let Some(file) = queue.pop() {
        let Needed { names, own_places } = needed(&file)?;
        for name in names {
            if !seen.insert(name.clone()) {
                continue;
            }
            let usual = [
                Path::new("/usr/lib").join(arch.gnu()),
                Path::new("/lib").join(arch.gnu()),
                PathBuf::from("/usr/lib"),
                PathBuf::from("/lib"),
            ];
            let own = own_places.iter().map(PathBuf::from);
            let inside = std::iter::once(PathBuf::from(&name))
                .chain(own.chain(usual).map(|directory| directory.join(&name)))
                .filter(|path| path.is_absolute())
                .find(|path| at(root, path).exists())
                .with_context(|| format!("{}: no {name} in {}", file.display(), root.display()))?;
            let outside = at(root, &inside);
            queue.push(outside.clone());
            found.push((outside, inside));
        }
    }
    Ok(found)
}

fn at(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// What a file asks the loader for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Needed {
    /// The names of the libraries, and the loader.
    names: Vec<String>,
    /// The directories that it names, where libraries are that are its own affair.
    own_places: Vec<String>,
}

/// What a file asks for; nothing if it is not ELF.
fn needed(file: &Path) -> Result<Needed> {
    let output = Command::new("readelf")
        .args(["--wide", "--dynamic", "--program-headers"])
        .arg(file)
        .env("LC_ALL", "C")
        .output()
        .context("running readelf")?;
    Ok(parse_readelf(&String::from_utf8_lossy(&output.stdout)))
}

fn parse_readelf(text: &str) -> Needed {
    let mut needed = Needed::default();
    for line in text.lines() {
        let after = |start| {
            let (_, rest) = line.split_once(start)?;
            Some(rest.trim_end().trim_end_matches(']').to_owned())
        };
        let name = after("Shared library: [").or_else(|| after("program interpreter: "));
        needed.names.extend(name);
        // The loader takes both, and searches the directories of either.
        let places = after("Library runpath: [").or_else(|| after("Library rpath: ["));
        let places = places.iter().flat_map(|places| places.split(':'));
        needed.own_places.extend(places.map(str::to_owned));
    }
    needed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_ldd_prints() {
        let text = "\tlinux-vdso.so.1 (0x00007f)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x00007f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        assert_eq!(
            parse_ldd(text),
            [
                PathBuf::from("/lib/x/libc.so.6"),
                PathBuf::from("/lib64/ld-linux-x86-64.so.2")
            ]
        );
        assert_eq!(
            parse_ldd("\tnot a dynamic executable\n"),
            [] as [PathBuf; 0]
        );
    }

    #[test]
    fn reads_what_readelf_prints() {
        let text = "      [Requesting program interpreter: /lib/ld-linux-aarch64.so.1]\n\
                    0x0000000000000001 (NEEDED)  Shared library: [libc.so.6]\n\
                    0x000000000000000e (SONAME)  Library soname: [libx.so]\n\
                    0x000000000000001d (RUNPATH) Library runpath: [/usr/lib/x/ceph:/opt]\n";
        let needed = parse_readelf(text);
        assert_eq!(needed.names, ["/lib/ld-linux-aarch64.so.1", "libc.so.6"]);
        assert_eq!(needed.own_places, ["/usr/lib/x/ceph", "/opt"]);
    }
}
