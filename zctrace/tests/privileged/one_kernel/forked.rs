//! Direct reads into memory that a fork made common: the kernel copies it before a device fills it. The tracepoints
//! backend does not see that, so it does not call such a read direct.

use zctrace_common::Op;

use crate::common::{assert_conservation, differences, ran, strictness, trace_whole};

/// What one of the two reads moves.
const BYTES: u64 = 400 * 4096;

#[test]
#[ignore = "needs root and BPF"]
fn a_direct_read_that_may_have_copied_on_write_is_not_called_direct() {
    let (snapshot, report) = trace_whole(&[], &["direct-forked"]);
    assert_conservation(&snapshot);
    let [outcome] = &report.traffic[..] else {
        panic!("{:?}", report.traffic);
    };
    if !ran(outcome) {
        return;
    }
    let wrong = differences(outcome, &snapshot.processes, strictness(&snapshot));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    if snapshot.backend == "functions" {
        return;
    }
    let mut reads = snapshot
        .processes
        .iter()
        .filter(|process| {
            outcome
                .processes
                .iter()
                .any(|member| member.pid == process.pid)
        })
        .flat_map(|process| &process.paths)
        .filter(|path| path.op == Op::Read && path.totals.moved == 2 * BYTES);
    let read = reads.next().expect("a row of both reads");
    // The second one finds pages of its own.
    assert_eq!(read.totals.unexplained, BYTES, "{read:?}");
    assert_eq!(read.totals.direct, BYTES, "{read:?}");
}
