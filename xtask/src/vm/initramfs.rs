//! The guest's file system: busybox, a handful of the host's own programs with the libraries they
//! need, the kernel's modules, and what the caller adds.

use std::{
    collections::HashSet,
    fs,
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    kernel::{Kernel, depmod},
    userland::Userland,
};
use crate::paths;

const INIT: &str = include_str!("init.sh");

/// Programs that busybox has not, or not well enough. Those missing are left out.
const PROGRAMS: [&str; 18] = [
    "mkfs.ext4",
    "mkfs.xfs",
    "mkfs.btrfs",
    "mkfs.vfat",
    "mkfs.exfat",
    "losetup",
    "mount",
    "umount",
    "ip",
    "tc",
    "ethtool",
    "wg",
    "dmsetup",
    "blockdev",
    "fallocate",
    "taskset",
    "setpriv",
    "unshare",
];

/// Modules the guest loads at boot, as far as this kernel has them as modules.
const MODULES: [&str; 40] = [
    "virtio_pci",
    "virtio_blk",
    "virtio_console",
    "nvme",
    "ext4",
    // The checksum of xfs and btrfs, where it is no longer built in.
    "crc32c_generic",
    "crc32c-cryptoapi",
    "xfs",
    "btrfs",
    "fuse",
    "cuse",
    "overlay",
    "vfat",
    // The character sets that vfat is mounted with.
    "nls_cp437",
    "nls_ascii",
    "nls_iso8859-1",
    "exfat",
    "loop",
    "brd",
    "zram",
    "dm_mod",
    "dm_crypt",
    "veth",
    "tun",
    "tls",
    // The cipher that kernel TLS is tested with.
    "ctr",
    "ghash_generic",
    "gcm",
    "algif_hash",
    "algif_skcipher",
    "ecb",
    "af_packet",
    "vsock",
    "vsock_loopback",
    "sctp",
    "udp_tunnel",
    "ublk_drv",
    "vhost_net",
    "tap",
    "macvtap",
];

/// Modules that the kernel loads by itself when a program asks for what they make.
const MODULES_ON_DEMAND: [&str; 30] = [
    "wireguard",
    "esp4",
    "xfrm_user",
    "xfrm_algo",
    "authenc",
    "seqiv",
    "echainiv",
    "macsec",
    "macvlan",
    "ip_gre",
    "sch_netem",
    "sch_fq",
    "sch_codel",
    "sch_htb",
    "sch_prio",
    "sch_ingress",
    "cls_u32",
    "act_mirred",
    "nfnetlink",
    "nf_tables",
    "nfnetlink_queue",
    "nft_queue",
    "nf_conntrack",
    "bridge",
    "bonding",
    "dummy",
    "vsockmon",
    "8021q",
    "scsi_debug",
    "sd_mod",
];

/// A file or directory to add.
#[derive(Clone, Debug)]
pub(crate) struct Extra {
    pub(crate) source: PathBuf,
    /// Where it goes in the guest.
    pub(crate) destination: PathBuf,
}

/// Writes the archive to `to`, staging it in `stage`.
pub(crate) fn build(
    kernel: &Kernel,
    userland: Userland,
    extras: &[Extra],
    variables: &[(String, String)],
    command: &[String],
    stage: &Path,
    to: &Path,
) -> Result<()> {
    let mut stage = Stage::new(stage, userland)?;
    stage.busybox()?;
    // The shell busybox has here runs its own mount, ip and losetup whatever PATH says.
    let shell = stage.userland.find("dash").context("no dash")?;
    stage.program(&shell, Path::new("/usr/bin/sh"))?;
    for name in PROGRAMS {
        if let Some(path) = stage.userland.find(name) {
            stage.program(&path, &Path::new("/usr/bin").join(name))?;
        }
    }
    for extra in extras {
        stage.extra(extra)?;
    }
    stage.modules(kernel)?;
    stage.text("init", INIT, 0o755)?;
    stage.text("zctrace-vm/command", &script(variables, command), 0o755)?;
    stage.text(
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n\
         www-data:x:33:33:www-data:/var/www:/bin/sh\n",
        0o644,
    )?;
    stage.text(
        "etc/group",
        "root:x:0:\nnogroup:x:65534:\nwww-data:x:33:\n",
        0o644,
    )?;
    stage.text("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n", 0o644)?;
    stage.archive(to)
}

fn script(variables: &[(String, String)], command: &[String]) -> String {
    let mut text = String::from("#!/bin/sh\n");
    for (name, value) in variables {
        text += &format!("export {name}={}\n", shell_words::quote(value));
    }
    text + &format!("exec {}\n", shell_words::join(command))
}

struct Stage {
    root: PathBuf,
    userland: Userland,
    /// Guest paths that are there already.
    placed: HashSet<PathBuf>,
}

impl Stage {
    fn new(root: &Path, userland: Userland) -> Result<Self> {
        for dir in [
            "usr/bin",
            "usr/lib",
            "usr/lib64",
            "dev",
            "proc",
            "sys",
            "tmp",
            "run",
            "root",
            "mnt",
            "out",
            "etc",
            "var/log",
            "var/lib",
            "zctrace-vm",
        ] {
            fs::create_dir_all(root.join(dir))?;
        }
        // Merged, so that a library's path is the same file however it is written.
        for (link, target) in [
            ("bin", "usr/bin"),
            ("sbin", "usr/bin"),
            ("usr/sbin", "bin"),
            ("lib", "usr/lib"),
            ("lib64", "usr/lib64"),
            ("etc/mtab", "/proc/self/mounts"),
        ] {
            symlink(target, root.join(link))?;
        }
        Ok(Self {
            root: root.to_owned(),
            userland,
            placed: HashSet::new(),
        })
    }

    fn at(&self, guest: &Path) -> PathBuf {
        self.root.join(guest.strip_prefix("/").unwrap_or(guest))
    }

    fn text(&self, guest: &str, text: &str, mode: u32) -> Result<()> {
        let path = self.at(Path::new(guest));
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        Ok(fs::set_permissions(
            &path,
            fs::Permissions::from_mode(mode),
        )?)
    }

    fn busybox(&mut self) -> Result<()> {
        const MISSING: &str = "no busybox; `cargo xtask setup --vm` installs it";
        let busybox = self.userland.find("busybox").context(MISSING)?;
        self.program(&busybox, Path::new("/usr/bin/busybox"))?;
        // Only that of this machine can be asked. A name that the guest's does not know fails there.
        let known = paths::find_program("busybox").context(MISSING)?;
        let listed = Command::new(known).arg("--list").output()?;
        for name in String::from_utf8_lossy(&listed.stdout).lines() {
            let link = self.at(Path::new("/usr/bin")).join(name);
            if !link.exists() {
                symlink("busybox", link)?;
            }
        }
        Ok(())
    }

    /// A program, or any other file, with the libraries it is linked against.
    fn program(&mut self, source: &Path, guest: &Path) -> Result<()> {
        self.copy(source, guest)?;
        for (library, to) in self.userland.libraries(source)? {
            self.copy(&library, &to)?;
        }
        Ok(())
    }

    fn copy(&mut self, source: &Path, guest: &Path) -> Result<()> {
        if !self.placed.insert(guest.to_owned()) {
            return Ok(());
        }
        let to = self.at(guest);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        if to.is_symlink() {
            fs::remove_file(&to)?;
        }
        fs::copy(source, &to).with_context(|| format!("copying {}", source.display()))?;
        Ok(())
    }

    fn extra(&mut self, extra: &Extra) -> Result<()> {
        let source = &extra.source;
        if !source.is_dir() {
            return self.program(source, &extra.destination);
        }
        for entry in
            fs::read_dir(source).with_context(|| format!("reading {}", source.display()))?
        {
            let entry = entry?;
            self.extra(&Extra {
                source: entry.path(),
                destination: extra.destination.join(entry.file_name()),
            })?;
        }
        Ok(())
    }

    /// The wanted modules and all they need, uncompressed, with the order to load them in.
    fn modules(&mut self, kernel: &Kernel) -> Result<()> {
        let from = kernel.modules();
        let index = fs::read_to_string(from.join("modules.dep")).context("reading modules.dep")?;
        let soft = fs::read_to_string(from.join("modules.softdep")).unwrap_or_default();
        let at_boot = load_order(&index, &soft, &MODULES);
        let all: Vec<&str> = MODULES.iter().chain(&MODULES_ON_DEMAND).copied().collect();
        let to = self.at(Path::new("/usr/lib/modules")).join(&kernel.release);
        let mut load = String::new();
        for path in &load_order(&index, &soft, &all) {
            let plain = path.strip_suffix(".xz").unwrap_or(path);
            let target = to.join(plain);
            fs::create_dir_all(target.parent().context("a module lies in a directory")?)?;
            if plain == path {
                fs::copy(from.join(path), &target)?;
            } else {
                let output = Command::new("xz")
                    .arg("-dc")
                    .arg(from.join(path))
                    .stdout(fs::File::create(&target)?)
                    .status()
                    .context("running xz")?;
                ensure!(output.success(), "cannot unpack {path}");
            }
            if at_boot.contains(path) {
                load += &format!("/lib/modules/{}/{plain}\n", kernel.release);
            }
        }
        // For what the kernel itself asks modprobe for.
        for name in [
            "modules.order",
            "modules.builtin",
            "modules.builtin.modinfo",
        ] {
            if from.join(name).exists() {
                fs::copy(from.join(name), to.join(name))?;
            }
        }
        depmod(&self.root, &kernel.release)?;
        self.text("zctrace-vm/modules", &load, 0o644)
    }

    fn archive(&self, to: &Path) -> Result<()> {
        let mut names = Vec::new();
        list(&self.root, Path::new(""), &mut names)?;
        let mut cpio = Command::new("cpio")
            .args([
                "--quiet",
                "--create",
                "--format=newc",
                "--null",
                "--owner=+0:+0",
            ])
            .current_dir(&self.root)
            .stdin(Stdio::piped())
            .stdout(fs::File::create(to)?)
            .spawn()
            .context("running cpio; `cargo xtask setup --vm` installs it")?;
        let mut stdin = cpio.stdin.take().context("cpio's input")?;
        for name in names {
            stdin.write_all(name.as_os_str().as_encoded_bytes())?;
            stdin.write_all(&[0])?;
        }
        drop(stdin);
        let status = cpio.wait()?;
        ensure!(status.success(), "cpio: {status}");
        Ok(())
    }
}

fn list(root: &Path, below: &Path, names: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let name = below.join(entry.file_name());
        names.push(name.clone());
        if entry.file_type()?.is_dir() {
            list(root, &name, names)?;
        }
    }
    Ok(())
}

/// The modules to load, each after what it needs, from the text of `modules.dep` and
/// `modules.softdep`. Names not in the index are built in, or not there.
fn load_order(index: &str, soft: &str, wanted: &[&str]) -> Vec<String> {
    let entries: Vec<(&str, Vec<&str>)> = index
        .lines()
        .filter_map(|line| {
            let (module, needs) = line.split_once(':')?;
            Some((module, needs.split_whitespace().collect()))
        })
        .collect();
    let mut order: Vec<String> = Vec::new();
    for &name in wanted {
        let mut names = soft_dependencies(soft, name);
        names.push(name);
        for name in names {
            let found = entries
                .iter()
                .find(|(path, _)| module_name(path) == name.replace('-', "_"));
            let Some((path, needs)) = found else { continue };
            // modules.dep lists the closest first.
            for module in needs.iter().rev().chain([path]) {
                if !order.iter().any(|placed| placed == module) {
                    order.push((*module).to_owned());
                }
            }
        }
    }
    order
}

/// What `softdep NAME pre: A B` says is to be loaded first.
fn soft_dependencies<'a>(soft: &'a str, name: &str) -> Vec<&'a str> {
    soft.lines()
        .filter_map(|line| line.strip_prefix("softdep ")?.split_once(' '))
        .filter(|(module, _)| *module == name)
        .filter_map(|(_, rest)| rest.strip_prefix("pre:"))
        .flat_map(str::split_whitespace)
        .take_while(|word| *word != "post:")
        .collect()
}

fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_come_after_what_they_need() {
        let index = "kernel/a/top.ko.xz: kernel/a/mid-dle.ko.xz kernel/a/base.ko.xz\n\
                     kernel/a/mid-dle.ko.xz: kernel/a/base.ko.xz\nkernel/a/base.ko.xz:\n\
                     kernel/c/crc.ko.xz:\nkernel/a/other.ko.xz:\n";
        let soft = "# comment\nsoftdep mid_dle pre: crc gone\n";
        assert_eq!(
            load_order(index, soft, &["mid_dle", "top", "built_in"]),
            [
                "kernel/c/crc.ko.xz",
                "kernel/a/base.ko.xz",
                "kernel/a/mid-dle.ko.xz",
                "kernel/a/top.ko.xz"
            ]
        );
    }

    #[test]
    fn words_reach_the_guest_as_they_are() {
        assert_eq!(
            script(
                &[("A".to_owned(), "x y".to_owned())],
                &["echo".to_owned(), "it's $HOME".to_owned()]
            ),
            "#!/bin/sh\nexport A='x y'\nexec echo 'it'\\''s $HOME'\n"
        );
    }
}
