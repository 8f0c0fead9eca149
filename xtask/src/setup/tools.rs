//! The programs the tasks use, and the Debian packages that have them.

use std::path::Path;

use crate::paths;

/// What a program is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Compiling.
    Build,
    /// Compiling for another architecture, whose guests are emulated.
    Cross,
    /// The demonstration, which leaves out what it has no filesystem for.
    Demo,
    /// Tests of what is shown, which need no root.
    Show,
    /// Tests on the running kernel.
    Test,
    /// The packages for users, made and installed.
    Package,
    /// Virtual machines.
    Vm,
    /// Benchmarks.
    Bench,
}

/// A program of a Debian package.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tool {
    /// Its name, looked up in PATH, or a file's path.
    pub(super) program: &'static str,
    pub(super) package: &'static str,
    pub(super) purposes: &'static [Purpose],
    /// Without it something is skipped, not impossible.
    pub(super) optional: bool,
}

use Purpose::{Bench, Build, Cross, Demo, Package, Show, Test, Vm};

const fn required(
    program: &'static str,
    package: &'static str,
    purposes: &'static [Purpose],
) -> Tool {
    Tool {
        program,
        package,
        purposes,
        optional: false,
    }
}

const fn optional(
    program: &'static str,
    package: &'static str,
    purposes: &'static [Purpose],
) -> Tool {
    Tool {
        program,
        package,
        purposes,
        optional: true,
    }
}

/// `qemu-system-x86_64` is not here: which one will do is a matter of its version.
pub(super) const TOOLS: [Tool; 39] = [
    required("cc", "gcc", &[Build]),
    required("c++", "g++", &[Build]),
    required("/usr/lib/x86_64-linux-gnu/libc.a", "libc6-dev", &[Build]),
    required("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu", &[Cross]),
    required(
        "/usr/aarch64-linux-gnu/lib/libc.a",
        "libc6-dev-arm64-cross",
        &[Cross],
    ),
    required("readelf", "binutils", &[Cross]),
    required("cpio", "cpio", &[Vm]),
    required("busybox", "busybox-static", &[Test, Vm]),
    required("depmod", "kmod", &[Vm]),
    required("xz", "xz-utils", &[Vm]),
    required("mkfs.ext4", "e2fsprogs", &[Demo, Test, Vm, Bench]),
    required("mkfs.xfs", "xfsprogs", &[Test, Vm]),
    required("mkfs.btrfs", "btrfs-progs", &[Demo, Test, Vm]),
    required("mkfs.vfat", "dosfstools", &[Test, Vm]),
    required("mkfs.exfat", "exfatprogs", &[Test, Vm]),
    required("ip", "iproute2", &[Test, Vm]),
    required("losetup", "mount", &[Test, Vm]),
    optional("nginx", "nginx-light", &[Test, Vm]),
    optional("wrk", "wrk", &[Test, Vm]),
    optional("fio", "fio", &[Test, Vm, Bench]),
    optional("iperf3", "iperf3", &[Test, Vm, Bench]),
    optional("strace", "strace", &[Test, Vm]),
    optional("fusermount3", "fuse3", &[Test, Vm]),
    optional("bpftool", "bpftool", &[Test, Vm, Bench]),
    optional("bpftrace", "bpftrace", &[Bench]),
    optional("dmsetup", "dmsetup", &[Test, Vm]),
    optional("curl", "curl", &[Test, Vm]),
    optional("tc", "iproute2", &[Test, Vm]),
    optional("ethtool", "ethtool", &[Test, Vm]),
    optional("wg", "wireguard-tools", &[Test, Vm]),
    optional("chromium", "chromium", &[Show]),
    optional("podman", "podman", &[Test]),
    optional("prometheus", "prometheus", &[Test]),
    optional("promtool", "prometheus", &[Test]),
    optional("debootstrap", "debootstrap", &[Package]),
    optional("lintian", "lintian", &[Package]),
    optional("rpm", "rpm", &[Package]),
    optional("rpmlint", "rpmlint", &[Package]),
    optional("pip3", "python3-pip", &[Package]),
];

impl Tool {
    pub(super) fn is_here(&self) -> bool {
        if self.program.starts_with('/') {
            return Path::new(self.program).exists();
        }
        paths::find_program(self.program).is_some()
    }
}
