//! A real container of podman, as a target by its name and as a block of the whole machine.

use std::{fs, path::Path, process::Command};

use zctrace::ledger::{Process, Snapshot};

use crate::common::{shared, which, zctrace};

/// What the container reads: neither whole pages nor whole calls.
const BYTES: usize = 3_000_017;

/// The exit status of [`SCRIPT`] where no container can be run.
const NO_CONTAINER: i32 = 77;

/// Runs a container that reads a file and ends at once, while two commands trace it. The hierarchies of version 1 are put
/// away, in a mount namespace of the script's own: podman refuses both side by side.
const SCRIPT: &str = r#"
directory=$1 zctrace=$2 name=$3
podman() { command podman --cgroup-manager=cgroupfs "$@"; }
image=localhost/$name:latest
{
    mount --make-rprivate / &&
    umount --recursive /sys/fs/cgroup &&
    mount -t cgroup2 none /sys/fs/cgroup &&
    tar -C "$directory/image" -c . | podman import --quiet - "$image"
} > "$directory/said" 2>&1 || exit 77
trap 'podman rm --force "$name"; podman rmi --force "$image"' EXIT
podman run --rm --detach --name "$name" --privileged --pids-limit=-1 --network=none \
    --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 --volume "$directory:/shared" "$image" /bin/busybox sh -c \
    'until [ -e /shared/go ]; do /bin/busybox sleep 0.1; done; exec /bin/busybox dd if=/shared/data of=/dev/null' \
    > "$directory/said" 2>&1 || exit 77
mkfifo "$directory/ready"
exec 3<> "$directory/ready"
"$zctrace" stat --json --no-faults --container "$name" --ready-fd 3 -o "$directory/one.json" &
one=$!
"$zctrace" stat --json --no-faults --by container --ready-fd 3 -o "$directory/all.json" &
all=$!
for tracer in "$one" "$all"; do
    read -r line <&3
    test "$line" = ready || exit 1
done
touch "$directory/go"
podman wait "$name"
kill -INT "$one" "$all"
wait "$one" && wait "$all"
"#;

fn reads(process: &Process) -> u64 {
    let reads = process.paths.iter().filter(|path| path.op == "read");
    reads.map(|path| path.totals.moved).sum()
}

fn document(path: &Path) -> Snapshot {
    let text = fs::read_to_string(path).expect("a file");
    serde_json::from_str(&text).expect("a document")
}

/// Its files and its cgroup are gone when it is reported.
#[test]
#[ignore = "needs root and BPF"]
fn a_container_that_has_ended_keeps_its_name() {
    const TEST: &str = "a_container_that_has_ended_keeps_its_name";
    let Some(busybox) = which("busybox") else {
        println!("SKIP: {TEST}: no busybox here (apt-get install busybox-static)");
        return;
    };
    if which("podman").is_none() {
        println!("SKIP: {TEST}: no podman here (apt-get install podman)");
        return;
    }
    shared::end();
    let directory = tempfile::tempdir().expect("a directory");
    let place = directory.path();
    fs::create_dir_all(place.join("image/bin")).expect("a directory");
    fs::copy(busybox, place.join("image/bin/busybox")).expect("a program");
    fs::write(place.join("data"), vec![7; BYTES]).expect("a file");
    let name = format!("zct-test-{}", std::process::id());
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", SCRIPT, "container"])
        .arg(place)
        .arg(zctrace())
        .arg(&name)
        .output()
        .expect("unshare starts");
    if output.status.code() == Some(NO_CONTAINER) {
        let said = fs::read_to_string(place.join("said")).unwrap_or_default();
        let why = said.lines().last().unwrap_or_default();
        println!("SKIP: {TEST}: podman runs no container here: {why}");
        return;
    }
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");

    let one = document(&place.join("one.json"));
    let [process] = &one.processes[..] else {
        panic!("one process: {one:#?}");
    };
    assert_eq!(reads(process), BYTES as u64);
    let all = document(&place.join("all.json"));
    let block = all.processes.iter().find(|block| block.comm == name);
    let block = block.unwrap_or_else(|| panic!("no block of {name}: {all:#?}"));
    assert_eq!(reads(block), BYTES as u64);
    for process in [process, block] {
        let container = process.container.as_ref().expect("a container");
        assert_eq!(container.name.as_deref(), Some(&*name));
        assert_eq!(container.runtime.as_deref(), Some("podman"));
        assert!(process.cgroup.contains(&container.id), "{process:?}");
    }
}
