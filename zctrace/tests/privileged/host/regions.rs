//! The helpers that mark regions, as a shell and Python use them.

use std::{fs, path::Path, process::Command};

use zctrace::claims::Tested;

use crate::common::{shared, zctrace};

/// A region in a shell, one in Python, and a program that Python starts.
const SCRIPT: &str = r#"
. "$HELPERS/zctrace-region.sh"
zctrace_begin "from a shell, 100%"
head -c 1000 /dev/zero > /dev/null
zctrace_end "from a shell, 100%"
PYTHONPATH="$HELPERS" PYTHONDONTWRITEBYTECODE=1 python3 -c '
import os, subprocess, zctrace_region
zero = os.open("/dev/zero", os.O_RDONLY)
@zctrace_region.region("from Python")
def test(): os.read(zero, 77)
test()
test()
marks = ". $HELPERS/zctrace-region.sh; zctrace_begin deeper; head -c 1 /dev/zero; zctrace_end deeper"
with zctrace_region.region("whole", process=True):
    subprocess.run(["sh", "-c", marks], pass_fds=zctrace_region.pass_fds(), check=True, stdout=subprocess.DEVNULL)
'
"#;

#[test]
#[ignore = "needs root and BPF"]
fn a_shell_and_python_mark_regions() {
    if Command::new("python3").arg("-V").output().is_err() {
        println!("SKIP: a_shell_and_python_mark_regions: there is no python3");
        return;
    }
    shared::end();
    let helpers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../zctrace-region");
    let without = Command::new("sh")
        .args(["-c", SCRIPT])
        .env("HELPERS", &helpers)
        .status();
    assert!(
        without.expect("a shell").success(),
        "without zctrace they do nothing"
    );
    let directory = tempfile::tempdir().expect("a directory");
    let (file, junit) = (
        directory.path().join("test.json"),
        directory.path().join("junit.xml"),
    );
    let output = Command::new(zctrace())
        .args(["test", "--json", "-o"])
        .arg(&file)
        .arg("--junit")
        .arg(&junit)
        .args(["--", "sh", "-c", SCRIPT])
        .env("HELPERS", &helpers)
        .output()
        .expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let text = fs::read_to_string(file).expect("a document");
    let document: Tested = serde_json::from_str(&text).expect("a document");
    assert_eq!(document.markers, Default::default(), "{said}");
    let read = |name: &str| {
        let region = document.regions.iter().find(|one| one.region.name == name);
        let region = &region.unwrap_or_else(|| panic!("no {name}: {said}")).region;
        let zeros = region
            .paths
            .iter()
            .filter(|path| path.object == "char:mem" && path.op == "read");
        (
            region.begun,
            zeros.map(|path| path.totals.moved).sum::<u64>(),
        )
    };
    assert_eq!(read("from Python"), (2, 154));
    // `head` reads what was asked for, or a buffer.
    let (begun, bytes) = read("from a shell, 100%");
    assert!(begun == 1 && bytes >= 1000, "{bytes}");
    assert_eq!(read("deeper").1, read("whole").1);
    let junit = fs::read_to_string(junit).expect("a report");
    assert!(
        junit.contains("tests=\"4\" failures=\"0\" errors=\"0\" skipped=\"4\""),
        "{junit}"
    );
    assert!(
        junit.contains("<testcase classname=\"zctrace.test\" name=\"from a shell, 100%\">"),
        "{junit}"
    );
}
