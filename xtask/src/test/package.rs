//! What users are given, used as they would.

use std::{env, fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};

use super::{Tally, elsewhere, kubernetes};
use crate::{
    apt,
    arch::Arch,
    dist::{self, Made},
    job::Job,
    paths,
};

pub(super) fn run(arch: Arch) -> Tally {
    let mut tally = Tally::default();
    if !arch.is_native() {
        let name = format!("the Debian package on {arch}");
        check(&mut tally, &name, elsewhere::debian(arch));
        return tally;
    }
    match dist::make(Arch::NATIVE, None) {
        Ok(made) => {
            packages(&mut tally, &made);
            kubernetes::check(&mut tally, &made.program);
        }
        Err(error) => check(&mut tally, "what users are given", Err(error)),
    }
    check(
        &mut tally,
        "the crate without a BPF toolchain",
        crate_alone(),
    );
    tally
}

/// Each where the program that it is held against is installed.
fn packages(tally: &mut Tally, made: &Made) {
    let mut with = |program: &str, name: &str, test: fn(&Made) -> Result<()>| {
        if paths::find_program(program).is_some() {
            check(tally, name, test(made));
        } else {
            tally.skipped.push(format!("{name}: no {program} here"));
        }
    };
    with("sha256sum", "the checksums", |made| {
        Job::new("sha256sum")
            .args(["--check", "--strict"])
            .arg(&made.sums)
            .current_dir(made.sums.parent().context("a directory")?)
            .step("package: the checksums")
    });
    with("lintian", "the Debian package by lintian", |made| {
        Job::new("lintian")
            .args(["--fail-on", "error,warning", "--allow-root"])
            .arg(&made.debian)
            .step("package: lintian")
    });
    with("rpmlint", "the rpm package by rpmlint", |made| {
        Job::new("rpmlint")
            .arg("--strict")
            .arg("--config")
            .arg(paths::root().join("packaging/rpmlint.toml"))
            .arg(&made.rpm)
            .step("package: rpmlint")
    });
    with("rpm", "the rpm package in an empty root", rpm);
    with("debootstrap", "the Debian package in a fresh root", debian);
}

/// Installs, verifies and removes it, in a root where nothing else is. Its scripts need a shell, so they are left out.
const BY_RPM: &str = r#"
root=$1
package=$2
in_root() { rpm --root "$root" "$@"; }
in_root --initdb
in_root --install --noscripts --nodeps --nosignature "$package"
in_root --verify --noscripts --nodeps zctrace
"$root/usr/bin/zctrace" --version
in_root --query --licensefiles zctrace | grep GPL
in_root --query --docfiles zctrace | grep /zctrace-serve.1
in_root --erase --noscripts zctrace
test -z "$(find "$root/usr" -name '*zctrace*')"
"#;

fn rpm(made: &Made) -> Result<()> {
    let root = tempfile::tempdir()?;
    Job::new("sh")
        .args(["-exc", BY_RPM, "package"])
        .arg(root.path())
        .arg(&made.rpm)
        .root()
        .limit(Duration::from_mins(2))
        .step("package: installed, verified and removed by rpm (root: another root directory)")?;
    // Root's files.
    Job::new("rm")
        .args(["-rf", "--one-file-system"])
        .arg(root.path())
        .root()
        .step("package: away with it")
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

fn debian(made: &Made) -> Result<()> {
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
            .arg(&made.debian)
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
        .limit(Duration::from_mins(40))
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
