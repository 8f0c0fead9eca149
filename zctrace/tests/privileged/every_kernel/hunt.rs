//! What the tracepoints backend concludes never contradicts what the functions backend measures.

use crate::common::run;

/// Random operations, some of which are the same each time.
fn hunt(drawn: u64, seed: &[&str]) {
    let output = run(&[&["hunt", "--ops", &drawn.to_string()], seed].concat());
    let said = String::from_utf8_lossy(&output.stdout);
    // The seed stands in it.
    println!("{said}");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
    let word = |after: &str| {
        let (before, _) = said.rsplit_once(after)?;
        before.split_whitespace().last()?.parse::<u64>().ok()
    };
    let compared = word(" operations compared").expect("what was compared");
    assert_eq!(compared, drawn, "{said}");
}

#[test]
#[ignore = "needs root and BPF"]
fn tracepoints_do_not_contradict_functions() {
    hunt(192, &["--seed", "1"]);
    hunt(128, &[]);
}
