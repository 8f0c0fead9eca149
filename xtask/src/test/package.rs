//! What users are given, used as they would.

use std::{env, fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};

use super::Tally;
use crate::{apt, arch::Arch, dist, job::Job, paths};

pub(super) fn run() -> Tally {
    let mut tally = Tally::default();
    if paths::find_program("debootstrap").is_none() {
        tally
            .skipped
            .push("the Debian package in a fresh root: no debootstrap here".to_owned());
    } else {
        check(&mut tally, "the Debian package in a fresh root", debian());
    }
    check(
        &mut tally,
        "the crate without a BPF toolchain",
        crate_alone(),
    );
    tally
}

fn check(tally: &mut Tally, name: &str, result: Result<()>) {
    match result {
        Ok(()) => tally.passed += 1,
        Err(error) => {
            eprintln!("package: {name}: {error:#}");
            tally.failed.push(name.to_owned());
        }
    }
}

/// Installs, uses and purges the package, and leaves what was there before.
const IN_THE_ROOT: &str = r#"
root=$1
package=$2
mount --make-rprivate /
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
in_root() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"; }
# dpkg's own books are not the package's.
list() { (cd "$root" && find . -xdev \( -path ./var/lib/dpkg -o -path ./var/log -o -path ./proc -o -path ./sys \) -prune -o -print | LC_ALL=C sort); }
list > "$root.before"
mount --bind "$(dirname "$package")" "$root/mnt"
in_root dpkg --install "/mnt/$(basename "$package")"
in_root dpkg --verify zctrace > "$root.differs"
test ! -s "$root.differs"
in_root zctrace --version
in_root zctrace stat --no-faults --json -o /tmp/stat.json -- cat /etc/hostname
grep -q '"schema": "zctrace.stat/1"' "$root/tmp/stat.json"
grep -q '"comm": "cat"' "$root/tmp/stat.json"
in_root zctrace record -o /tmp/cat.zct -- cat /etc/hostname
in_root zctrace report /tmp/cat.zct > "$root.report"
grep -q cat "$root.report"
for file in share/man/man1/zctrace.1.gz share/man/man1/zctrace-serve.1.gz     share/bash-completion/completions/zctrace share/zsh/vendor-completions/_zctrace     share/fish/vendor_completions.d/zctrace.fish lib/systemd/system/zctrace.service     share/doc/zctrace/copyright; do
    test -s "$root/usr/$file" || { echo "no $file"; exit 1; }
done
in_root bash -ec '. /usr/share/bash-completion/completions/zctrace; complete -p zctrace'
rm "$root/tmp/stat.json" "$root/tmp/cat.zct"
in_root dpkg --purge zctrace
umount "$root/mnt"
list > "$root.after"
diff "$root.before" "$root.after"
"#;

/// What the static program may take: more means that debugging information is in it again.
const LARGEST: u64 = 40 << 20;

fn debian() -> Result<()> {
    let made = dist::make(Arch::NATIVE)?;
    let length = fs::metadata(&made.program)?.len();
    ensure!(length < LARGEST, "the program has {length} bytes");
    let dir = tempfile::tempdir()?;
    let root = dir.path().join("root");
    let apt::Mirror { uri, keyring } = apt::debian_mirror()?;
    let built = Job::new("debootstrap")
        .args([
            "--variant=minbase",
            &format!("--keyring={keyring}"),
            "stable",
        ])
        .arg(&root)
        .arg(uri)
        .root()
        .limit(Duration::from_mins(10))
        .step("package: a fresh Debian (root: device files)");
    let used = built.and_then(|()| {
        Job::new("unshare")
            .args(["--mount", "sh", "-exc", IN_THE_ROOT, "package"])
            .arg(&root)
            .arg(&made.package)
            .root()
            .limit(Duration::from_mins(5))
            .step("package: installed, used and purged there (root: another root directory)")
    });
    // Root's files.
    Job::new("rm")
        .args(["-rf", "--one-file-system"])
        .arg(&root)
        .root()
        .step("package: away with it")?;
    used
}

/// Installs the crate as from a registry: its own files only, and no BPF toolchain in sight.
fn crate_alone() -> Result<()> {
    let dir = tempfile::tempdir()?;
    for file in dist::crates(&[env::consts::ARCH])? {
        let unpack = Job::new("tar")
            .arg("-xzf")
            .arg(&file)
            .arg("-C")
            .arg(dir.path());
        unpack.step(&format!("package: unpacking {}", file.display()))?;
    }
    let version = env!("CARGO_PKG_VERSION");
    let sysroot = Job::new("rustc")
        .args(["--print", "sysroot"])
        .read()
        .context("no rustc")?;
    // Not cargo's own directory, where bpf-linker and rustup are.
    let path = format!("{sysroot}/bin:/usr/bin:/bin");
    for name in ["bpf-linker", "rustup"] {
        let found = path
            .split(':')
            .any(|dir| Path::new(dir).join(name).exists());
        ensure!(!found, "{name} is in {path}");
    }
    let patch = |name: &str| {
        let path = dir.path().join(format!("{name}-{version}"));
        format!("patch.crates-io.{name}.path={path:?}")
    };
    Job::new("cargo")
        .args(["install", "--locked", "--quiet", "--debug"])
        .args(["--config", &patch("zctrace-common")])
        .args(["--config", &patch("zctrace-ledger")])
        .arg("--path")
        .arg(dir.path().join(format!("zctrace-{version}")))
        .arg("--root")
        .arg(dir.path())
        .env("PATH", path)
        .env("CARGO_TARGET_DIR", paths::target().join("package-test"))
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .current_dir(dir.path())
        .limit(Duration::from_mins(20))
        .step("package: cargo install of the crate alone")?;
    let report = dir.path().join("stat.json");
    Job::new(dir.path().join("bin/zctrace"))
        .args(["stat", "--no-faults", "--json", "-o"])
        .arg(&report)
        .args(["--", "cat", "/proc/version"])
        .root()
        .step("package: what it installed traces (root: BPF)")?;
    let text = fs::read_to_string(&report)?;
    ensure!(text.contains("\"comm\": \"cat\""), "{text}");
    Ok(())
}
