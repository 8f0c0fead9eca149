//! `zctrace doctor --self-test`.

use crate::common::run;
use zctrace::kernel::doctor::{Document, FamilyStatus};

#[test]
#[ignore = "needs root and BPF"]
fn the_self_test_passes() {
    let output = run(&["doctor", "--self-test", "--json"]);
    let document: Document = serde_json::from_slice(&output.stdout).expect("a doctor document");
    let test = document.self_test.expect("it was asked for");
    let wrong: Vec<_> = test
        .families
        .iter()
        .filter(|family| matches!(family.status, FamilyStatus::Differs | FamilyStatus::Failed))
        .map(|family| format!("{}: {}", family.name, family.details.join("; ")))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(test.passed(), "{:?}", test.refused);
    assert_eq!(output.status.code(), Some(0));
    println!(
        "self-test: {} families ok, {} skipped",
        test.count(FamilyStatus::Ok),
        test.count(FamilyStatus::Skipped)
    );
}
