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
/// Containers that are remembered.
const REMEMBERED: usize = 4096;

/// Names of containers, each looked up once.
#[derive(Debug)]
pub(crate) struct Containers {
    /// Where the files are.
    root: PathBuf,
    known: HashMap<String, (Option<Container>, u32)>,
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
        if let Some((found, tries)) = self.known.get(path)
            && (*tries >= TRIES || found.as_ref().is_none_or(is_whole))
        {
            return found.clone();
        }
        let found = Place::of_cgroup(path).map(|place| named(&self.root, place));
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        let known = self.known.entry(path.to_owned()).or_default();
        *known = (found.clone(), known.1 + 1);
        found
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
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    const ID: &str = "0f3b5c7d9e1a2b4c6d8e0f1a3b5c7d9e1a2b4c6d8e0f1a3b5c7d9e1a2b4c6d8e";
    const UID: &str = "8dbc5577-d0e2-4706-8787-57d52c03ddf2";

    /// A root directory with these files.
    fn root(files: &[(&str, &str)]) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path.replace("ID", ID));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content.replace("ID", ID)).unwrap();
        }
        root
    }

    fn seen(root: &TempDir, cgroup: &str) -> Container {
        let cgroup = cgroup.replace("UID", UID).replace("ID", ID);
        let mut containers = Containers::below(root.path().into());
        containers.of_cgroup(&cgroup).expect("a container")
    }

    /// Runtime, name, pod and namespace, `-` where there is none.
    fn names(container: &Container) -> String {
        let all = [
            &container.runtime,
            &container.name,
            &container.pod,
            &container.namespace,
        ];
        let all = all.map(|name| name.as_deref().unwrap_or("-"));
        all.join(" ")
    }

    const DOCKER: (&str, &str) = (
        "var/lib/docker/containers/ID/config.v2.json",
        r#"{"StreamConfig":{},"State":{"Pid":7},"ID":"ID","Name":"/web","Config":{"Labels":{}}}"#,
    );
    const PODMAN: &str = r#"[
        {"id":"00","names":["another"],"metadata":"{}"},
        {"id":"ID","names":["web"],"image":"aa","metadata":"{\"name\":\"web\"}","flags":{}}
    ]"#;
    const IN_USER: &str =
        "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container";
    const PASSWD: (&str, &str) = (
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbob:x:1001:1001::/home/bob:\n",
    );

    #[test]
    fn the_files_of_each_runtime_have_the_name() {
        let docker = root(&[DOCKER]);
        for cgroup in ["/docker/ID", "/system.slice/docker-ID.scope", "/mine/ID"] {
            assert_eq!(names(&seen(&docker, cgroup)), "docker web - -", "{cgroup}");
        }
        for list in ["containers", "volatile-containers"] {
            let path = format!("var/lib/containers/storage/overlay-containers/{list}.json");
            let podman = root(&[(&path, PODMAN)]);
            for cgroup in ["/machine.slice/libpod-ID.scope", "/libpod_parent/libpod-ID"] {
                assert_eq!(names(&seen(&podman, cgroup)), "podman web - -", "{cgroup}");
            }
            let path =
                format!("home/ann/.local/share/containers/storage/overlay-containers/{list}.json");
            let rootless = root(&[PASSWD, (&path, PODMAN)]);
            assert_eq!(names(&seen(&rootless, IN_USER)), "podman web - -");
        }
        let containerd = root(&[(
            "run/containerd/io.containerd.runtime.v2.task/k8s.io/ID/config.json",
            r#"{"ociVersion":"1.1.0","process":{"args":["x"]},"annotations":{
                "io.kubernetes.cri.container-name":"server","io.kubernetes.cri.container-type":"container",
                "io.kubernetes.cri.sandbox-name":"shop-7d4-x","io.kubernetes.cri.sandbox-namespace":"prod"}}"#,
        )]);
        for cgroup in [
            "/kubepods.slice/kubepods-podUID.slice/cri-containerd-ID.scope",
            "/kubepods/burstable/podUID/ID",
            "/kubepods/besteffort/podUID/ID",
            "/kubepods/podUID/ID",
        ] {
            let container = seen(
                &containerd,
                &cgroup.replace("-podUID", "-pod8dbc5577_d0e2_4706_8787_57d52c03ddf2"),
            );
            assert_eq!(
                names(&container),
                "containerd server shop-7d4-x prod",
                "{cgroup}"
            );
            assert_eq!(container.pod_id.as_deref(), Some(UID));
        }
        let nerdctl = root(&[(
            "run/containerd/io.containerd.runtime.v2.task/default/ID/config.json",
            r#"{"annotations":{"nerdctl/name":"web"}}"#,
        )]);
        assert_eq!(names(&seen(&nerdctl, "/default/ID")), "containerd web - -");
        let crio = root(&[
            (
                "run/containers/storage/overlay-containers/ID/userdata/config.json",
                r#"{"annotations":{"io.kubernetes.container.name":"server","io.kubernetes.pod.name":"shop",
                    "io.kubernetes.pod.namespace":"prod","io.kubernetes.pod.uid":"u"}}"#,
            ),
            (
                "var/lib/containers/storage/overlay-containers/containers.json",
                r#"[{"id":"ID","names":["k8s_server_shop_prod_u_0"]}]"#,
            ),
        ]);
        for cgroup in ["/kubepods/burstable/podUID/crio-ID", "/elsewhere/ID"] {
            assert_eq!(
                names(&seen(&crio, cgroup)),
                "cri-o server shop prod",
                "{cgroup}"
            );
        }
    }

    #[test]
    fn the_kubelet_names_what_the_runtime_does_not() {
        let log = format!("var/log/containers/shop-7d4-x_prod_server-{ID}.log");
        let logs = root(&[(&log, ""), ("var/log/containers/odd.log", "")]);
        let cgroup = "/kubepods/burstable/podUID/ID";
        assert_eq!(names(&seen(&logs, cgroup)), "- server shop-7d4-x prod");
        let directory = format!("var/log/pods/prod_shop-7d4-x_{UID}/server/0.log");
        let pods = root(&[(&directory, "")]);
        let container = seen(&pods, cgroup);
        assert_eq!(names(&container), "- - shop-7d4-x prod");
        assert_eq!(container.title(), format!("prod/shop-7d4-x/{}", &ID[..12]));
    }

    #[test]
    fn an_unknown_one_has_its_id() {
        let nothing = root(&[]);
        for cgroup in ["/docker/ID", "/novel/ID", IN_USER] {
            let container = seen(&nothing, cgroup);
            assert_eq!(
                (container.name.clone(), container.title()),
                (None, ID[..12].into())
            );
        }
    }

    #[test]
    fn a_user_cannot_borrow_the_name_of_another_container() {
        // The cgroup is the user's own, and called like one of docker's or of another user.
        let path = "home/bob/.local/share/containers/storage/overlay-containers/containers.json";
        let system = "var/lib/containers/storage/overlay-containers/containers.json";
        let files = root(&[PASSWD, DOCKER, (path, PODMAN), (system, PODMAN)]);
        for kind in ["docker", "libpod"] {
            let cgroup = IN_USER.replace("libpod", kind);
            assert_eq!(seen(&files, &cgroup).name, None, "{cgroup}");
        }
        assert_eq!(
            seen(&files, &IN_USER.replace("1000", "1001"))
                .name
                .as_deref(),
            Some("web"),
            "bob's own"
        );
        let log = format!("var/log/containers/p_n_c-{ID}.log");
        let files = root(&[(&log, "")]);
        let cgroup = "/user.slice/user-1000.slice/user@1000.service/podUID/ID";
        assert_eq!(seen(&files, cgroup).name, None);
    }

    #[test]
    fn files_of_users_lead_nowhere_else_and_nobody_waits_for_them() {
        let place = "home/ann/.local/share/containers/storage/overlay-containers";
        let list = format!("{place}/containers.json");
        let elsewhere = root(&[("list.json", PODMAN)]);
        let files = root(&[PASSWD]);
        let (place, list) = (files.path().join(place), files.path().join(list));
        fs::create_dir_all(&place).unwrap();
        symlink(elsewhere.path().join("list.json"), &list).unwrap();
        assert_eq!(seen(&files, IN_USER).name, None, "a link");
        fs::remove_file(&list).unwrap();
        nix::unistd::mkfifo(&list, Mode::S_IRWXU).unwrap();
        assert_eq!(seen(&files, IN_USER).name, None, "a pipe");
        fs::remove_file(&list).unwrap();
        fs::remove_dir(&place).unwrap();
        fs::write(
            elsewhere.path().join("containers.json"),
            PODMAN.replace("ID", ID),
        )
        .unwrap();
        symlink(elsewhere.path(), &place).unwrap();
        assert_eq!(seen(&files, IN_USER).name, None, "a link on the way");
        fs::remove_file(&place).unwrap();
        fs::create_dir(&place).unwrap();
        fs::write(&list, PODMAN.replace("ID", ID)).unwrap();
        assert_eq!(seen(&files, IN_USER).name.as_deref(), Some("web"), "a file");
    }

    #[test]
    fn what_files_say_is_bounded() {
        let long = "x".repeat(300);
        let odd = format!("/{long}é");
        let cases = [
            (odd.as_str(), Some(LONGEST)),
            ("/\u{1b}[31m\n\0", Some(6)),
            ("/", None),
        ];
        for (name, length) in cases {
            let json = serde_json::json!({ "Name": name }).to_string();
            let files = root(&[(DOCKER.0, &json)]);
            let name = seen(&files, "/docker/ID").name;
            assert_eq!(name.map(|name| name.len()), length);
        }
        for content in ["", "[]", "{\"Name\":7}", &"[".repeat(100_000), "\0\u{1}"] {
            let files = root(&[(DOCKER.0, content)]);
            assert_eq!(seen(&files, "/docker/ID").name, None);
        }
        // Longer than anything a runtime writes: not read, although it is whole.
        let path = DOCKER.0.replace("ID", ID);
        let files = root(&[DOCKER]);
        assert!(seen(&files, "/docker/ID").name.is_some());
        let mut huge = DOCKER.1.to_owned();
        huge.push_str(&" ".repeat(usize::try_from(LARGEST).unwrap()));
        fs::write(files.path().join(path), huge).unwrap();
        assert_eq!(seen(&files, "/docker/ID").name, None);
    }

    #[test]
    fn a_name_that_appears_later_is_found() {
        let files = root(&[]);
        let mut containers = Containers::below(files.path().into());
        let cgroup = format!("/docker/{ID}");
        assert_eq!(containers.of_cgroup(&cgroup).unwrap().name, None);
        let path = files.path().join(DOCKER.0.replace("ID", ID));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, DOCKER.1).unwrap();
        let found = containers.of_cgroup(&cgroup).unwrap();
        assert_eq!(found.name.as_deref(), Some("web"));
        fs::remove_file(&path).unwrap();
        assert_eq!(containers.of_cgroup(&cgroup), Some(found), "and is kept");
    }

    #[test]
    fn a_container_is_found_by_its_name_or_id() {
        let files = root(&[DOCKER]);
        let mount = tempfile::tempdir().unwrap();
        let web = mount.path().join(format!("system.slice/docker-{ID}.scope"));
        let other = ID.replace('0', "1");
        let unnamed = mount.path().join(format!("docker/{other}"));
        let left = mount.path().join(format!("docker/{}", "e".repeat(64)));
        for directory in [&web.join("below"), &unnamed, &left] {
            fs::create_dir_all(directory).unwrap();
            let populated = u8::from(*directory != left);
            let events = format!("populated {populated}\nfrozen 0\n");
            fs::write(directory.join("cgroup.events"), events).unwrap();
        }
        let find = |name: &str| find_below(files.path(), mount.path(), name);
        assert_eq!(find("web").unwrap(), web);
        assert_eq!(find(&ID[..12]).unwrap(), web);
        assert_eq!(find(&other).unwrap(), unnamed);
        let error = find("wbe").unwrap_err();
        assert_eq!(error.to_string(), "no running container is called \"wbe\"");
        let remedy = error.remedy();
        let [first, second] = [&other[..12], &ID[..12]];
        assert!(
            remedy.contains(&format!("{first} ({first}), web ({second})")),
            "{remedy}"
        );
        // Of two with one name the id has to say which.
        let again = root(&[DOCKER, (&DOCKER.0.replace("ID", &other), DOCKER.1)]);
        let error = find_below(again.path(), mount.path(), "web").unwrap_err();
        assert_eq!(error.to_string(), "2 containers are called \"web\"");
        assert!(error.remedy().contains(&ID[..12]), "{}", error.remedy());
    }
}
