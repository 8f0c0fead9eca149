//! Names of containers, and `--container`.
//!
//! The path of a cgroup has the id ([`Place`]). The name is in the files that runtimes and the kubelet
//! keep, which are read without asking anybody: a daemon's socket would need its protocol, and could
//! let zctrace wait. Users own the files of their rootless containers, so these are read in a way that
//! leads nowhere else, and give names only to what is in the same user's part of the hierarchy.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::Read as _,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2},
    sys::stat::Mode,
};
use serde::{Deserialize, de::DeserializeOwned};

use super::{Error, mounts};
use crate::{
    ledger::{Container, Place},
    text::escape::printable,
};

/// A file that is longer is not read.
const LARGEST: u64 = 8 << 20;
/// No more entries of a directory are looked at.
const MOST_ENTRIES: usize = 65_536;
/// Bytes of a name; Kubernetes allows 253.
const LONGEST: usize = 256;
/// How often a name is looked for that is not there: the kubelet's files appear after the first
/// operations of a container.
const TRIES: u32 = 8;
/// Containers whose names are looked for before anything is known of them.
const MOST_AT_ONCE: usize = 256;
/// Containers that are remembered.
const REMEMBERED: usize = 4096;

/// Names of containers, each looked up once.
#[derive(Debug)]
pub(crate) struct Containers {
    /// Where the files are.
    root: PathBuf,
    /// By the cgroup that is the container's own, with how often its names were looked for.
    known: HashMap<String, (Container, u32)>,
}

impl Default for Containers {
    fn default() -> Self {
        Self::below(PathBuf::from("/"))
    }
}

impl Containers {
    fn below(root: PathBuf) -> Self {
        Self {
            root,
            known: HashMap::new(),
        }
    }

    /// The container of a process in the cgroup `path`.
    pub(crate) fn of_cgroup(&mut self, path: &str) -> Option<Container> {
        let place = Place::of_cgroup(path)?;
        if let Some((found, tries)) = self.known.get(&place.cgroup)
            && (*tries >= TRIES || is_whole(found))
        {
            return Some(found.clone());
        }
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        let own = place.cgroup.clone();
        let found = named(&self.root, place);
        let (known, tries) = self.known.entry(own).or_default();
        *tries += 1;
        // The files of a container that has ended are gone, and what they said stays true.
        if known.name.is_none() || found.name.is_some() {
            *known = found;
        }
        Some(known.clone())
    }

    /// Looks for the names of the containers that are there already, at most [`MOST_AT_ONCE`]: one of them can end
    /// right after its first operation.
    pub(crate) fn meet<'a>(&mut self, cgroups: impl Iterator<Item = &'a str>) {
        let are_own = cgroups.filter(|path| {
            let place = Place::of_cgroup(path);
            place.is_some_and(|place| place.cgroup == *path)
        });
        for path in are_own.take(MOST_AT_ONCE) {
            self.of_cgroup(path);
        }
    }
}

/// Whether there is nothing to look for any more.
fn is_whole(container: &Container) -> bool {
    let in_kubernetes =
        container.pod_id.is_some() && container.runtime.as_deref() != Some("podman");
    container.name.is_some() && (!in_kubernetes || container.pod.is_some())
}

/// The cgroup of the container that the user calls `name`.
///
/// # Errors
///
/// When there is none, or more than one.
pub fn find(name: &str) -> Result<PathBuf, Error> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounts = mounts::of_type(&mountinfo, "cgroup2");
    let mount = mounts.into_iter().next().ok_or(Error::NoCgroup2)?;
    find_below(Path::new("/"), &mount, name)
}

fn find_below(root: &Path, mount: &Path, name: &str) -> Result<PathBuf, Error> {
    let mut pending = vec![String::new()];
    let (mut called, mut others) = (Vec::new(), Vec::new());
    while let Some(path) = pending.pop() {
        if let Some(place) = Place::of_cgroup(&path) {
            let directory = mount.join(path.trim_start_matches('/'));
            if !is_populated(&directory) {
                continue;
            }
            let container = named(root, place);
            let list = match container.is_called(name) {
                true => &mut called,
                false => &mut others,
            };
            list.push((container, path));
            // What is below is the same container.
            continue;
        }
        let directory = mount.join(path.trim_start_matches('/'));
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            pending.push(format!("{path}/{}", entry.file_name().to_string_lossy()));
        }
    }
    let titles = |containers: &[(Container, String)]| {
        let mut titles: Vec<_> = containers
            .iter()
            .map(|(container, _)| format!("{} ({})", container.title(), container.short_id()))
            .map(|title| printable(&title))
            .collect();
        titles.sort();
        titles
    };
    let listed = |containers: &[(Container, String)]| {
        const MOST: usize = 8;
        let mut titles = titles(containers);
        if titles.len() > MOST {
            let more = titles.len() - MOST;
            titles.truncate(MOST);
            titles.push(format!("{more} more"));
        }
        titles.join(", ")
    };
    match &called[..] {
        [(_, path)] => Ok(mount.join(path.trim_start_matches('/'))),
        [] => Err(Error::NoSuchContainer {
            name: name.into(),
            others: listed(&others),
        }),
        several => Err(Error::SeveralContainers {
            name: name.into(),
            they: titles(several),
        }),
    }
}

/// Whether there are processes in a cgroup or below it. A runtime may leave an empty one behind.
fn is_populated(directory: &Path) -> bool {
    let events = fs::read_to_string(directory.join("cgroup.events"));
    !events.is_ok_and(|events| events.lines().any(|line| line == "populated 0"))
}

/// The container with the names that the files below `root` give it.
fn named(root: &Path, place: Place) -> Container {
    let Place {
        mut container,
        user,
        ..
    } = place;
    match user {
        None => {
            let files = Files::OfSystem(root.to_path_buf());
            if container.pod_id.is_some() {
                of_kubelet(root, &mut container);
            }
            let system = ["var/lib", "run"];
            fill(&files, &system, &mut container);
        }
        Some(user) => {
            if let Some(home) = home(root, user)
                && let Some(files) = Files::of_user(&home)
            {
                fill(&files, &[".local/share"], &mut container);
            }
        }
    }
    for name in [
        &mut container.name,
        &mut container.pod,
        &mut container.pod_id,
        &mut container.namespace,
    ] {
        if let Some(text) = name {
            text.retain(|character| character != '\0');
            text.truncate(text.floor_char_boundary(LONGEST));
        }
        name.take_if(|text| text.is_empty());
    }
    container
}

/// Puts in what the files of the runtime say, or of each, where the path does not say which it is.
fn fill(files: &Files, directories: &[&str], container: &mut Container) {
    let runtime = container.runtime.clone();
    let may_be = |name: &str| runtime.as_deref().is_none_or(|runtime| runtime == name);
    for directory in directories {
        if may_be("docker") {
            of_docker(files, directory, container);
        }
        if may_be("podman") {
            of_podman(files, directory, container);
        }
        if may_be("cri-o") {
            of_crio(files, directory, container);
        }
        if may_be("containerd") {
            of_containerd(files, directory, container);
        }
    }
}

/// `config.v2.json` of docker, the part of it that is needed.
#[derive(Deserialize)]
struct Docker {
    #[serde(rename = "Name", default)]
    name: String,
}

fn of_docker(files: &Files, directory: &str, container: &mut Container) {
    let path = format!(
        "{directory}/docker/containers/{}/config.v2.json",
        container.id
    );
    if let Some(Docker { name }) = files.json(&path) {
        container.runtime = Some("docker".into());
        let name = name.trim_start_matches('/').to_owned();
        container.name.get_or_insert(name);
    }
}

/// An entry of podman's list of containers.
#[derive(Deserialize)]
struct Stored {
    id: String,
    #[serde(default)]
    names: Vec<String>,
}

fn of_podman(files: &Files, directory: &str, container: &mut Container) {
    for driver in ["overlay", "vfs", "btrfs", "zfs"] {
        // Those of `podman run --rm` are in a list of their own.
        for list in ["containers", "volatile-containers"] {
            let path = format!("{directory}/containers/storage/{driver}-containers/{list}.json");
            let Some(stored) = files.json::<Vec<Stored>>(&path) else {
                continue;
            };
            let mut stored = stored.into_iter();
            let Some(stored) = stored.find(|stored| stored.id == container.id) else {
                continue;
            };
            // CRI-O keeps its containers in the same list, under names of its own making.
            let mut names = stored.names.into_iter();
            match names.next() {
                Some(name) if !name.starts_with("k8s_") => {
                    container.runtime = Some("podman".into());
                    container.name.get_or_insert(name);
                }
                _ => {}
            }
            return;
        }
    }
}

/// The configuration by which a container was started, the part of it that is needed.
#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    annotations: HashMap<String, String>,
}

impl Spec {
    /// Puts the first of these annotations that there is into `to`, unless something is there.
    fn give(&self, to: &mut Option<String>, keys: &[&str]) {
        if to.is_none() {
            *to = keys
                .iter()
                .find_map(|key| self.annotations.get(*key))
                .cloned();
        }
    }
}

fn of_crio(files: &Files, directory: &str, container: &mut Container) {
    let path = format!(
        "{directory}/containers/storage/overlay-containers/{}/userdata/config.json",
        container.id
    );
    let Some(spec) = files.json::<Spec>(&path) else {
        return;
    };
    // podman has this file too.
    if spec.annotations.contains_key("io.kubernetes.pod.name") {
        container.runtime = Some("cri-o".into());
        spec.give(&mut container.name, &["io.kubernetes.container.name"]);
        spec.give(&mut container.pod, &["io.kubernetes.pod.name"]);
        spec.give(&mut container.pod_id, &["io.kubernetes.pod.uid"]);
        spec.give(&mut container.namespace, &["io.kubernetes.pod.namespace"]);
    }
}

fn of_containerd(files: &Files, directory: &str, container: &mut Container) {
    for state in ["containerd", "k3s/containerd"] {
        let tasks = format!("{directory}/{state}/io.containerd.runtime.v2.task");
        for namespace in files.directories(&tasks) {
            // docker runs its containers by containerd, and has their names itself.
            if namespace == "moby" {
                continue;
            }
            let path = format!("{tasks}/{namespace}/{}/config.json", container.id);
            let Some(spec) = files.json::<Spec>(&path) else {
                continue;
            };
            container.runtime = Some("containerd".into());
            let name = ["io.kubernetes.cri.container-name", "nerdctl/name"];
            spec.give(&mut container.name, &name);
            spec.give(&mut container.pod, &["io.kubernetes.cri.sandbox-name"]);
            spec.give(&mut container.pod_id, &["io.kubernetes.cri.sandbox-uid"]);
            let namespace = ["io.kubernetes.cri.sandbox-namespace"];
            spec.give(&mut container.namespace, &namespace);
            return;
        }
    }
}

/// The kubelet names the logs of containers `POD_NAMESPACE_CONTAINER-ID.log`, and a directory of logs
/// `NAMESPACE_POD_UID`. None of the names can have an underscore.
fn of_kubelet(root: &Path, container: &mut Container) {
    let names = |directory: &str| {
        let entries = fs::read_dir(root.join(directory)).into_iter().flatten();
        let names = entries.take(MOST_ENTRIES).flatten();
        names.filter_map(|entry| entry.file_name().into_string().ok())
    };
    let end = format!("-{}.log", container.id);
    let parts = |text: &str| -> Option<[String; 3]> {
        let parts: Vec<_> = text.split('_').map(Into::into).collect();
        parts.try_into().ok()
    };
    let log = names("var/log/containers").find_map(|name| parts(name.strip_suffix(&end)?));
    if let Some([pod, namespace, name]) = log {
        container.pod = Some(pod);
        container.namespace = Some(namespace);
        container.name = Some(name);
        return;
    }
    let of_pod = names("var/log/pods").find_map(|name| {
        parts(&name).filter(|[.., uid]| Some(uid.as_str()) == container.pod_id.as_deref())
    });
    if let Some([namespace, pod, _]) = of_pod {
        container.pod = Some(pod);
        container.namespace = Some(namespace);
    }
}

/// Where a user's home is.
fn home(root: &Path, user: u32) -> Option<PathBuf> {
    let passwd = read(File::open(root.join("etc/passwd")).ok()?)?;
    let passwd = String::from_utf8_lossy(&passwd);
    let user = user.to_string();
    let home = passwd.lines().find_map(|line| {
        let mut fields = line.split(':').skip(2);
        (fields.next()? == user).then(|| fields.nth(2))?
    })?;
    Some(root.join(home.trim_start_matches('/')))
}

/// Where files are read.
enum Files {
    /// Below a directory in which only root writes: `/var/lib` may be a link to a larger disk.
    OfSystem(PathBuf),
    /// Below a user's home, which the user could fill with links, pipes and filesystems that never answer.
    OfUser(OwnedFd),
}

impl Files {
    fn of_user(home: &Path) -> Option<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        open(home, flags, Mode::empty()).ok().map(Self::OfUser)
    }

    /// The document in a file; `None` where there is none that can be read.
    fn json<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        // A pipe must not be waited for.
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = match self {
            Self::OfSystem(root) => open(&root.join(path), flags, Mode::empty()).ok()?,
            Self::OfUser(home) => {
                let how = OpenHow::new().flags(flags).resolve(
                    ResolveFlag::RESOLVE_BENEATH
                        | ResolveFlag::RESOLVE_NO_SYMLINKS
                        | ResolveFlag::RESOLVE_NO_XDEV,
                );
                openat2(home, path, how).ok()?
            }
        };
        serde_json::from_slice(&read(file.into())?).ok()
    }

    fn directories(&self, path: &str) -> Vec<String> {
        let Self::OfSystem(root) = self else {
            return Vec::new();
        };
        let entries = fs::read_dir(root.join(path)).into_iter().flatten();
        let entries = entries.take(MOST_ENTRIES).flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.collect()
    }
}

/// The content of a file that is one, and not too long.
fn read(file: File) -> Option<Vec<u8>> {
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return None;
    }
    let mut content = Vec::new();
    // It may grow.
    file.take(LARGEST).read_to_end(&mut content).ok()?;
    Some(content)
}

#[cfg(test)]
mod tests;
