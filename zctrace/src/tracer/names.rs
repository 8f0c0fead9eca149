//! Numbers out of the maps, as people read them.

use std::{
    collections::{HashMap, HashSet},
    fs,
    net::{Ipv4Addr, Ipv6Addr},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use zctrace_common::{By, IP_SOCKETS, Label, Object, ObjectKind};

use crate::{
    ledger::{self, Container, End, UNNAMED, audit::syscalls},
    target::{container::Containers, mounts},
};

/// Names of objects, cgroups and values of the `--by` dimension.
#[derive(Default)]
pub(super) struct Names {
    filesystems: HashMap<u64, String>,
    char_drivers: HashMap<u32, String>,
    misc_devices: HashMap<u32, String>,
    cgroups: HashMap<u64, String>,
    containers: Containers,
    /// Cgroups that [`Self::meet`] has seen.
    met: HashSet<u64>,
    /// Mount points by device, once they were asked for.
    mounts: Option<HashMap<String, String>>,
    /// Regions, by number.
    regions: HashMap<u64, String>,
}

/// Cgroups that are remembered as met. Beyond, all are met again.
const MOST_MET: usize = 1 << 16;

/// Major number of the `misc` driver, whose devices have names of their own.
const MISC_MAJOR: u32 = 10;

impl Names {
    pub(super) fn new() -> Self {
        let mut names = Self::default();
        names.learn_drivers();
        names.learn_cgroups();
        let paths = names.cgroups.values().map(String::as_str);
        names.containers.meet(paths);
        names
    }

    /// Learns the names of cgroups that are new, and of their containers, before they are gone: those of a container
    /// that ends are removed at once.
    pub(super) fn meet(&mut self, cgroups: impl Iterator<Item = u64>) {
        for id in cgroups {
            if self.met.insert(id) {
                let path = self.cgroup(id);
                self.container(&path);
            }
        }
        if self.met.len() > MOST_MET {
            self.met.clear();
        }
    }

    /// Learns the names of drivers that came with a module since. Those that are gone keep theirs.
    pub(super) fn learn_drivers(&mut self) {
        let devices = fs::read_to_string("/proc/devices").unwrap_or_default();
        let misc = fs::read_to_string("/proc/misc").unwrap_or_default();
        let chars = devices.split("Block devices:").next().unwrap_or_default();
        self.char_drivers.extend(numbered(chars));
        self.misc_devices.extend(numbered(&misc));
    }

    /// Reads mount points again when the next one is asked for: the kernel gives the number of a
    /// filesystem that is gone to another one.
    pub(super) fn forget_mounts(&mut self) {
        self.mounts = None;
    }

    /// Where a device is mounted first, or its number.
    fn mount(&mut self, device: u64) -> String {
        let mounts = self.mounts.get_or_insert_with(|| {
            mount_points(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
        });
        let (major, minor) = (device >> 20, device & 0xf_ffff);
        let device = format!("{major}:{minor}");
        mounts.get(&device).cloned().unwrap_or(device)
    }

    /// Notes the names of the regions.
    pub(super) fn set_regions(&mut self, regions: HashMap<u64, String>) {
        self.regions = regions;
    }

    /// Notes the name of a filesystem type.
    pub(super) fn add_filesystem(&mut self, packed: u64, name: &[u8]) {
        self.filesystems.insert(packed, text(name));
    }

    /// The object of a row: one, or two joined.
    pub(super) fn objects(&self, source: u64, sink: u64) -> ledger::Object {
        if sink == 0 {
            self.object(source)
        } else {
            ledger::Object::join(&self.object(source), &self.object(sink))
        }
    }

    fn object(&self, packed: u64) -> ledger::Object {
        let Some(Object { kind, value }) = Object::unpack(packed) else {
            return End::Unknown.into();
        };
        match kind {
            ObjectKind::File => {
                let name = self
                    .filesystems
                    .get(&packed)
                    .map_or("unknown", String::as_str);
                End::File(name).into()
            }
            ObjectKind::Block => End::Block.into(),
            ObjectKind::Pipe => End::Pipe.into(),
            ObjectKind::Tcp => End::Tcp.into(),
            ObjectKind::Udp => End::Udp.into(),
            ObjectKind::Unix => End::Unix.into(),
            ObjectKind::Vsock => End::Vsock.into(),
            ObjectKind::Socket => End::Socket(&socket(value)).into(),
            ObjectKind::Char => End::Char(&self.driver(value)).into(),
            ObjectKind::Anon => End::Anon.into(),
            ObjectKind::Unknown => End::Unknown.into(),
            ObjectKind::Mqueue => End::Mqueue.into(),
            ObjectKind::Msgqueue => End::Msgqueue.into(),
            ObjectKind::Userfaultfd => End::Userfaultfd.into(),
            ObjectKind::Overlay => End::File("overlay").into(),
            ObjectKind::Syscall => system_call(value),
        }
    }

    fn driver(&self, device: u64) -> String {
        // The kernel's own encoding: 12 bits of major number, 20 of minor.
        let (major, minor) = ((device >> 20) as u32, (device & 0xf_ffff) as u32);
        let name = if major == MISC_MAJOR {
            self.misc_devices.get(&minor)
        } else {
            self.char_drivers.get(&major)
        };
        name.cloned().unwrap_or_else(|| major.to_string())
    }

    fn learn_cgroups(&mut self) {
        // Not those of version 1 beside them: their directories have numbers of their own, which can be the same.
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        if let Some(root) = mounts::of_type(&mountinfo, "cgroup2").first() {
            scan_cgroups(root, "", &mut self.cgroups, 0);
        }
    }

    /// The path of a cgroup below the mount of the v2 hierarchy.
    pub(super) fn cgroup(&mut self, id: u64) -> String {
        if !self.cgroups.contains_key(&id) {
            self.learn_cgroups();
        }
        self.cgroups
            .entry(id)
            .or_insert_with(|| {
                if id <= 1 {
                    "/".into()
                } else {
                    format!("#{id}")
                }
            })
            .clone()
    }

    /// The container of a process in the cgroup of this path.
    pub(super) fn container(&mut self, cgroup: &str) -> Option<Container> {
        self.containers.of_cgroup(cgroup)
    }

    /// What a value of the `--by` dimension stands for.
    pub(super) fn dimension(
        &mut self,
        by: By,
        value: u64,
        label: Option<&Label>,
    ) -> Option<String> {
        match by {
            By::Nothing => None,
            By::Unnamed => (value != 0).then(|| UNNAMED.to_owned()),
            _ if value == 0 => Some("-".to_owned()),
            By::Thread => Some(value.to_string()),
            By::Region => Some(
                self.regions
                    .get(&value)
                    .cloned()
                    .unwrap_or_else(|| format!("#{value}")),
            ),
            By::Cgroup => Some(self.cgroup(value)),
            By::Mount => Some(self.mount(value)),
            By::File => Some(label.map_or_else(
                || format!("#{value:x}"),
                |label| {
                    let (major, minor) = (label.major >> 20, label.major & 0xf_ffff);
                    format!("{} ({major}:{minor} {})", text(&label.text), label.number)
                },
            )),
            By::Connection => Some(label.map_or_else(|| format!("#{value:x}"), connection)),
        }
    }
}

/// What an operation is named after that is only known by its system call. The BPF side passes its
/// number as 32 bits: -1 of an exception, -2 of a 32-bit call that has no number of its own there, or
/// [`Object::WORKER_NUMBER`].
fn system_call(value: u64) -> ledger::Object {
    match value as u32 as i32 {
        -1 => End::Exception.into(),
        Object::WORKER_NUMBER => End::Worker.into(),
        -2 => End::Syscall("32-bit").into(),
        nr => End::Syscall(&syscalls::name(nr)).into(),
    }
}

fn connection(label: &Label) -> String {
    let (local, remote) = (label.ports & 0xffff, label.ports >> 16);
    let v6 = |bytes: &[u8]| {
        let mut address = [0; 16];
        address.copy_from_slice(bytes);
        Ipv6Addr::from(address)
    };
    let v4 = |bytes: &[u8]| Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]);
    match label.major {
        2 => format!(
            "{}:{local}->{}:{remote}",
            v4(&label.text[..4]),
            v4(&label.text[16..20])
        ),
        10 => format!(
            "[{}]:{local}->[{}]:{remote}",
            v6(&label.text[..16]),
            v6(&label.text[16..])
        ),
        other => format!("{}#{:x}", family(u64::from(other)), label.number),
    }
}

/// Name of a socket that is none of the more common ones, as in `socket:<name>`.
fn socket(value: u64) -> String {
    let protocol = value >> 16;
    let named = IP_SOCKETS
        .into_iter()
        .find(|(number, _)| u64::from(*number) == protocol);
    named.map_or_else(|| family(value), |(_, name)| name.to_owned())
}

/// Name of an address family, as in `socket:<family>`.
fn family(number: u64) -> String {
    match number {
        1 => "unix",
        2 => "inet",
        10 => "inet6",
        15 => "key",
        16 => "netlink",
        17 => "packet",
        29 => "can",
        31 => "bluetooth",
        38 => "alg",
        40 => "vsock",
        44 => "xdp",
        other => return other.to_string(),
    }
    .to_owned()
}

/// Lines `number name`, as in `/proc/devices`.
fn numbered(lines: &str) -> HashMap<u32, String> {
    let mut names = HashMap::new();
    for line in lines.lines() {
        let mut words = line.split_whitespace();
        if let (Some(number), Some(name)) = (words.next(), words.next())
            && let Ok(number) = number.parse()
        {
            // The first name of a number is the driver's; others are aliases such as /dev/vc/0.
            names
                .entry(number)
                .or_insert_with(|| name.trim_start_matches("/dev/").to_owned());
        }
    }
    names
}

fn scan_cgroups(dir: &Path, path: &str, found: &mut HashMap<u64, String>, depth: u32) {
    const MAX_DEPTH: u32 = 32;
    let Ok(metadata) = fs::metadata(dir) else {
        return;
    };
    found.insert(
        metadata.ino(),
        if path.is_empty() {
            "/".to_owned()
        } else {
            path.to_owned()
        },
    );
    if depth == MAX_DEPTH {
        return;
    }
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let below = format!("{path}/{}", entry.file_name().to_string_lossy());
            scan_cgroups(&entry.path(), &below, found, depth + 1);
        }
    }
}

/// Where each device is mounted first.
fn mount_points(mountinfo: &str) -> HashMap<String, String> {
    let mut points = HashMap::new();
    for mount in mounts::all(mountinfo) {
        points.entry(mount.device.to_owned()).or_insert(mount.point);
    }
    points
}

/// Bytes up to the first zero, as text.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use zctrace_common::{IPPROTO_MPTCP, IPPROTO_RAW};

    use super::*;

    #[test]
    fn drivers_come_from_proc_devices() {
        let names = numbered("Character devices:\n  1 mem\n  4 /dev/vc/0\n  4 tty\n 10 misc\n");
        assert_eq!(names[&1], "mem");
        assert_eq!(names[&4], "vc/0");
        assert_eq!(names.len(), 3);
    }

    #[test]
    fn what_only_a_call_is_known_of_is_named_after_it() {
        let names = Names::default();
        let call =
            |nr: i32| names.objects(Object::pack(ObjectKind::Syscall, u64::from(nr as u32)), 0);
        let ioctl = i32::try_from(libc::SYS_ioctl).expect("a number");
        assert_eq!(call(ioctl), "syscall:ioctl");
        assert_eq!(call(-1), "exception");
        assert_eq!(call(-2), "syscall:32-bit");
        assert_eq!(
            names.objects(Object::pack(ObjectKind::Overlay, 0), 0),
            "file:overlay"
        );
    }

    #[test]
    fn an_unknown_object_is_named_so() {
        let names = Names::default();
        assert_eq!(names.objects(0, 0), "unknown");
        let tcp = Object::pack(ObjectKind::Tcp, 0);
        let file = Object::pack(ObjectKind::File, 0x1234);
        assert_eq!(names.objects(file, tcp), "file:unknown->tcp");
    }

    #[test]
    fn sockets_over_ip_have_names_of_their_own() {
        let names = Names::default();
        let name = |object| names.objects(object, 0);
        assert_eq!(name(Object::ip_socket(IPPROTO_MPTCP)), "socket:mptcp");
        assert_eq!(name(Object::ip_socket(IPPROTO_RAW)), "socket:raw");
        assert_eq!(name(Object::pack(ObjectKind::Socket, 10)), "socket:inet6");
        assert_eq!(name(Object::pack(ObjectKind::Socket, 44)), "socket:xdp");
    }

    #[test]
    fn a_mount_point_is_named_as_it_is() {
        let points = mount_points(
            "50 27 0:21 / /tmp/m\\040dir rw - tmpfs tmpfs rw\n51 27 0:21 /x /again rw - tmpfs tmpfs rw\n",
        );
        assert_eq!(points["0:21"], "/tmp/m dir");
        assert_eq!(Names::default().mount(0xfff), "0:4095");
    }

    #[test]
    fn text_ends_at_the_first_zero() {
        assert_eq!(text(b"cat\0x"), "cat");
        assert_eq!(text(b"0123456789abcdef"), "0123456789abcdef");
    }
}
