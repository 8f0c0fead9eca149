//! Two recordings of the same work: a copy that a change plants is found, and what is the same passes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::common::{run, zctrace};

/// The script of the action for CI.
fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/compare.sh")
}

/// A file of 16 MiB, and a command that copies it once.
fn work(directory: &Path) -> String {
    fs::write(directory.join("in"), vec![7; 16 << 20]).unwrap();
    let shown = directory.display();
    format!("cat < {shown}/in > {shown}/out")
}

#[test]
#[ignore = "needs root and BPF"]
fn a_planted_copy_fails_the_script_of_the_action() {
    let directory = tempfile::tempdir().unwrap();
    let base = work(directory.path());
    // Through a pipe: that moves bytes itself, so copies per moved byte stay what they are.
    let head = base.replace(" > ", " | cat > ");
    let summary = directory.path().join("summary.md");
    let output = Command::new("sh")
        .arg(script())
        .args([&base, &head])
        .env("ZCTRACE", zctrace())
        .env("ACCEPT_INFERRED", "true")
        .env("OUTPUT", directory.path().join("kept"))
        .env("GITHUB_STEP_SUMMARY", &summary)
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(shown.starts_with("FAIL: over 5% more is copied"), "{shown}");
    let summary = fs::read_to_string(summary).unwrap();
    assert!(summary.starts_with("# zctrace: FAIL\n"), "{summary}");
    assert!(
        summary.contains("| write | pipe | - | 16.0 MiB |"),
        "{summary}"
    );
    let page = fs::read_to_string(directory.path().join("kept/comparison.html")).unwrap();
    assert!(page.contains("FAIL"));
}

#[test]
#[ignore = "needs root and BPF"]
fn twenty_pairs_of_the_same_work_pass() {
    let directory = tempfile::tempdir().unwrap();
    let command = work(directory.path());
    let file = |number: usize| {
        directory
            .path()
            .join(format!("{number}.zct"))
            .display()
            .to_string()
    };
    for number in 0..5 {
        let output = run(&["record", "-o", &file(number), "--", "sh", "-c", &command]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    let mut pairs = 0;
    for before in 0..5 {
        for after in (0..5).filter(|after| *after != before) {
            pairs += 1;
            let output = run(&[
                "report",
                &file(before),
                &file(after),
                "--max-increase",
                "5%",
                "--accept-inferred",
            ]);
            let shown = String::from_utf8_lossy(&output.stdout);
            assert_eq!(output.status.code(), Some(0), "{shown}");
        }
    }
    assert_eq!(pairs, 20);
}
