//! Which container a process is in, as far as the path of its cgroup says it.
//!
//! Container runtimes write the id of a container into the path. Its name is in files of the runtime
//! (`target/container` reads them). A user may own a part of the hierarchy and name cgroups there as
//! they like, so the path also says whose part it is: names from the files of another user, or of the
//! system, must not be given to it.

use serde::{Deserialize, Serialize};

/// Digits of a container's id.
const ID: usize = 64;
/// Digits that suffice for people.
const SHORT: usize = 12;

/// A container. Names are absent where no file of a runtime has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Container {
    /// Its id, 64 hexadecimal digits.
    pub id: String,
    /// `docker`, `podman`, `containerd` or `cri-o`; absent where neither path nor files say it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub runtime: Option<String>,
    /// Its name; that of a pod's container is unique only in the pod.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// Name of its pod.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pod: Option<String>,
    /// The pod's uid in Kubernetes, its id in podman.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pod_id: Option<String>,
    /// The pod's namespace in Kubernetes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub namespace: Option<String>,
}

impl Container {
    /// The container of a process in this cgroup, without names.
    #[must_use]
    pub fn of_cgroup(path: &str) -> Option<Self> {
        Place::of_cgroup(path).map(|place| place.container)
    }

    /// The first digits of the id.
    #[must_use]
    pub fn short_id(&self) -> &str {
        self.id.get(..SHORT).unwrap_or(&self.id)
    }

    /// What to call it: `namespace/pod/name` as far as that is known, or the first digits of the id.
    #[must_use]
    pub fn title(&self) -> String {
        let name = self.name.as_deref().unwrap_or(self.short_id());
        let parts = [self.namespace.as_deref(), self.pod.as_deref(), Some(name)];
        parts.into_iter().flatten().collect::<Vec<_>>().join("/")
    }

    /// Whether a user means it by `text`: the name, the name behind that of the pod and of the
    /// namespace, or the beginning of the id.
    #[must_use]
    pub fn is_called(&self, text: &str) -> bool {
        /// With fewer digits it is a name.
        const DIGITS: usize = 8;
        let begins = text.len() >= DIGITS && self.id.starts_with(text);
        let parts = [self.namespace.as_deref(), self.pod.as_deref()];
        let Some(name) = self.name.as_deref() else {
            return begins;
        };
        let in_pod = parts[1].map(|pod| format!("{pod}/{name}"));
        begins || name == text || in_pod.as_deref() == Some(text) || self.title() == text
    }
}

/// Where a container is in the hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The container, without names.
    pub container: Container,
    /// Whose part of the hierarchy it is in; `None`: the system's.
    pub user: Option<u32>,
    /// The cgroup that is the container's own.
    pub cgroup: String,
}

impl Place {
    /// Where the container of a process in the cgroup `path` is. Of containers in containers it is
    /// the outermost: the files of this system know no others.
    #[must_use]
    pub fn of_cgroup(path: &str) -> Option<Self> {
        let components: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (mut user, mut pod_id) = (None, None);
        for (depth, component) in components.iter().enumerate() {
            user = user.or_else(|| user_of(component));
            // `system.slice:docker:ID` is what a driver for cgroupfs makes of systemd's notation.
            let mut words = component.rsplitn(3, ':');
            let (last, middle) = (words.next().unwrap_or_default(), words.next());
            let slice = words.next().unwrap_or(component);
            pod_id = pod_id.or_else(|| pod_of(slice));
            let Some((prefix, id)) = prefix_and_id(last) else {
                continue;
            };
            if prefix.ends_with("conmon") {
                // The monitor, which is no part of the container.
                return None;
            }
            let below = components.get(depth + 1);
            if prefix.is_empty()
                && below.is_some_and(|below| {
                    prefix_and_id(below).is_some_and(|(prefix, _)| prefix.starts_with("libpod"))
                })
            {
                // A pod of podman, where systemd does not make the cgroups.
                pod_id = Some(id.to_owned());
                continue;
            }
            let prefix = match (prefix, middle) {
                ("", Some(middle)) => middle,
                ("", None) if depth > 0 && components[depth - 1] == "docker" => "docker",
                (prefix, _) => prefix,
            };
            return Some(Self {
                container: Container {
                    id: id.to_owned(),
                    runtime: runtime(prefix).map(Into::into),
                    pod_id,
                    ..Container::default()
                },
                user,
                cgroup: format!("/{}", components[..=depth].join("/")),
            });
        }
        None
    }
}

fn runtime(prefix: &str) -> Option<&'static str> {
    Some(match prefix {
        "docker" => "docker",
        "libpod" | "libpod-payload" => "podman",
        "cri-containerd" | "nerdctl" => "containerd",
        "crio" => "cri-o",
        _ => return None,
    })
}

/// `docker-ID.scope` is `docker` and the id; a bare id has no prefix.
fn prefix_and_id(component: &str) -> Option<(&str, &str)> {
    let name = component.strip_suffix(".scope").unwrap_or(component);
    let start = name.len().checked_sub(ID)?;
    let (prefix, id) = name.split_at_checked(start)?;
    let prefix = match prefix {
        "" => prefix,
        _ => prefix.strip_suffix('-')?,
    };
    is_hex(id).then_some((prefix, id))
}

fn is_hex(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The pod in `kubepods-burstable-podUID.slice`, `podUID` or `machine-libpod_pod_ID.slice`.
fn pod_of(component: &str) -> Option<String> {
    let name = component.strip_suffix(".slice").unwrap_or(component);
    if let Some((_, id)) = name.rsplit_once("libpod_pod_") {
        return (id.len() == ID && is_hex(id)).then(|| id.to_owned());
    }
    let uid = match name.rsplit_once("-pod") {
        Some((slice, uid)) if slice.contains("kubepods") => uid.replace('_', "-"),
        Some(_) => return None,
        None => name.strip_prefix("pod")?.to_owned(),
    };
    // A pod of a file on the node has a hash instead.
    let is_uid = uid.len() == 36 && uid.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    let is_hash = uid.len() == 32;
    let digits = uid.bytes().filter(|byte| *byte != b'-');
    let digits: Vec<_> = digits.collect();
    let are_hex = std::str::from_utf8(&digits).is_ok_and(is_hex);
    ((is_uid || is_hash) && are_hex).then_some(uid)
}

/// The user in `user-1000.slice`.
fn user_of(component: &str) -> Option<u32> {
    let id = component.strip_prefix("user-")?.strip_suffix(".slice")?;
    id.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0f3b5c7d9e1a2b4c6d8e0f1a3b5c7d9e1a2b4c6d8e0f1a3b5c7d9e1a2b4c6d8e";
    const POD: &str = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";
    const UID: &str = "8dbc5577-d0e2-4706-8787-57d52c03ddf2";

    /// Runtime, pod and user of a path with `ID`, `POD`, `UID` and `U_I_D` in it.
    fn seen(path: &str) -> Option<(Option<String>, Option<String>, Option<u32>)> {
        let path = path
            .replace("U_I_D", &UID.replace('-', "_"))
            .replace("UID", UID)
            .replace("POD", POD)
            .replace("ID", ID);
        let place = Place::of_cgroup(&path)?;
        assert_eq!(place.container.id, ID, "{path}");
        assert!(path.starts_with(&place.cgroup), "{path}");
        assert!(place.cgroup.contains(ID), "{path}");
        let Container {
            runtime, pod_id, ..
        } = place.container;
        Some((runtime, pod_id, place.user))
    }

    #[test]
    fn every_runtime_writes_the_id_into_the_path() {
        let (no, uid, pod) = (None, Some(UID), Some(POD));
        let cases = [
            // docker, by its own driver, by systemd, with a parent of the user's, rootless.
            ("/docker/ID", Some("docker"), no, None),
            ("/system.slice/docker-ID.scope", Some("docker"), no, None),
            (
                "/system.slice/docker-ID.scope/init.scope",
                Some("docker"),
                no,
                None,
            ),
            ("/mine/ID", None, no, None),
            (
                "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope",
                Some("docker"),
                no,
                Some(1000),
            ),
            // podman, by either driver, in a pod, below a unit, rootless.
            ("/machine.slice/libpod-ID.scope", Some("podman"), no, None),
            (
                "/machine.slice/libpod-ID.scope/container",
                Some("podman"),
                no,
                None,
            ),
            ("/libpod_parent/libpod-ID", Some("podman"), no, None),
            (
                "/machine.slice/machine-libpod_pod_POD.slice/libpod-ID.scope",
                Some("podman"),
                pod,
                None,
            ),
            ("/libpod_parent/POD/libpod-ID", Some("podman"), pod, None),
            (
                "/system.slice/web.service/libpod-payload-ID",
                Some("podman"),
                no,
                None,
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container",
                Some("podman"),
                no,
                Some(1000),
            ),
            // containerd for the kubelet, in each class of service, by either driver.
            (
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_I_D.slice/cri-containerd-ID.scope",
                Some("containerd"),
                uid,
                None,
            ),
            (
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podU_I_D.slice/cri-containerd-ID.scope",
                Some("containerd"),
                uid,
                None,
            ),
            (
                "/kubepods.slice/kubepods-podU_I_D.slice/cri-containerd-ID.scope",
                Some("containerd"),
                uid,
                None,
            ),
            (
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podU_I_D.slice/cri-containerd-ID.scope",
                Some("containerd"),
                uid,
                None,
            ),
            ("/kubepods/burstable/podUID/ID", None, uid, None),
            ("/kubepods/besteffort/podUID/ID", None, uid, None),
            ("/kubepods/podUID/ID", None, uid, None),
            (
                "/system.slice/containerd.service/kubepods-burstable-podU_I_D.slice:cri-containerd:ID",
                Some("containerd"),
                uid,
                None,
            ),
            (
                "/system.slice/nerdctl-ID.scope",
                Some("containerd"),
                no,
                None,
            ),
            ("/default/ID", None, no, None),
            // CRI-O.
            (
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_I_D.slice/crio-ID.scope",
                Some("cri-o"),
                uid,
                None,
            ),
            (
                "/kubepods/besteffort/podUID/crio-ID",
                Some("cri-o"),
                uid,
                None,
            ),
            // A runtime that is not known here.
            ("/machine.slice/novel-ID.scope", None, no, None),
            // Of two, the outer one.
            (
                "/docker/ID/kubelet.slice/cri-containerd-POD.scope",
                Some("docker"),
                no,
                None,
            ),
        ];
        for (path, runtime, pod, user) in cases {
            let expected = (runtime.map(Into::into), pod.map(Into::into), user);
            assert_eq!(seen(path), Some(expected), "{path}");
        }
    }

    #[test]
    fn what_is_no_container_has_none() {
        for path in [
            "",
            "/",
            "/system.slice/nginx.service",
            "/system.slice/docker.service",
            "/user.slice/user-1000.slice/session-1.scope",
            "/machine.slice/libpod-conmon-ID.scope",
            "/kubepods.slice/crio-conmon-ID.scope",
            "/libpod_parent/conmon",
            "/system.slice/docker-short.scope",
            "/docker/xID",
            "/kubepods.slice/kubepods-burstable-podU_I_D.slice",
        ] {
            assert_eq!(seen(path), None, "{path}");
        }
        let capital = format!("/docker/{}", ID.to_uppercase());
        assert_eq!(Place::of_cgroup(&capital), None);
        // Not cut inside of a character.
        let wide = format!("/docker/ä{}", &ID[1..]);
        assert_eq!(Place::of_cgroup(&wide), None);
    }

    #[test]
    fn a_container_is_called_by_what_is_known_of_it() {
        let mut one = Container {
            id: ID.into(),
            ..Container::default()
        };
        assert_eq!(one.title(), &ID[..12]);
        assert!(one.is_called(&ID[..12]) && one.is_called(ID));
        assert!(!one.is_called("0f3b"), "too short to be an id");
        assert!(!one.is_called(""));
        one.name = Some("server".into());
        assert_eq!(one.title(), "server");
        one.pod = Some("web-1".into());
        one.namespace = Some("shop".into());
        assert_eq!(one.title(), "shop/web-1/server");
        for name in ["server", "web-1/server", "shop/web-1/server"] {
            assert!(one.is_called(name), "{name}");
        }
        assert!(!one.is_called("web-1") && !one.is_called("shop/server"));
    }
}
