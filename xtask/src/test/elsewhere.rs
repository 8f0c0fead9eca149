//! The Debian package of another architecture, installed, used and purged in an emulated machine.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::{
    arch::Arch,
    dist,
    vm::{self, Extra, Guest, Outcome, Series, pass_on, userland::Userland},
};

/// The kernel that it is used on: the one of the matrix on which functions are watched.
const KERNEL: &str = "6.12";

/// What dpkg calls.
const PROGRAMS: [&str; 6] = ["dpkg", "dpkg-deb", "dpkg-query", "dpkg-split", "tar", "cat"];

const PACKAGE: &str = "/root/zctrace.deb";

/// Beside dpkg there is busybox, and nothing of a Debian system: neither its books nor the programs that dpkg checks for.
const SCRIPT: &str = r#"
set -ex
mkdir -p /var/lib/dpkg/info /var/lib/dpkg/updates /var/lib/dpkg/triggers /var/log
: > /var/lib/dpkg/status
dpkg --print-architecture
dpkg --force-bad-path --install "$0"
dpkg --verify zctrace
zctrace --version
zctrace doctor --json > /root/doctor.json
grep -q '"can_measure": true' /root/doctor.json
zctrace stat --no-faults --json -o /root/stat.json -- cat /etc/passwd
grep -q '"comm": "cat"' /root/stat.json
test -s /usr/lib/systemd/system/zctrace.service
test -s /usr/share/man/man1/zctrace.1.gz
dpkg --force-bad-path --purge zctrace
test ! -e /usr/bin/zctrace
"#;

/// Makes the package and does so.
pub(super) fn debian(arch: Arch) -> Result<()> {
    let made = dist::make(arch, None)?;
    let kernel = vm::fetch(
        Series::parse(KERNEL).map_err(anyhow::Error::msg)?,
        arch,
        false,
    )?;
    let userland = Userland::of(arch)?;
    let mut extras = vec![Extra {
        source: made.debian,
        destination: PathBuf::from(PACKAGE),
    }];
    for name in PROGRAMS {
        let source = userland.find(name).with_context(|| format!("no {name}"))?;
        let destination = PathBuf::from("/usr/bin").join(name);
        extras.push(Extra {
            source,
            destination,
        });
    }
    let guest = Guest {
        arch,
        extras,
        command: ["/bin/sh", "-c", SCRIPT, PACKAGE]
            .map(str::to_owned)
            .to_vec(),
        ..Guest::default()
    };
    match guest.run(&kernel, pass_on)? {
        Outcome::Exited { status: 0, .. } => Ok(()),
        Outcome::Exited { status, .. } => bail!("exit status {status} in the guest"),
        Outcome::TimedOut { why, console } => bail!("the guest {why}\n{console}"),
        Outcome::Died { console } => bail!("the guest died\n{console}"),
    }
}
