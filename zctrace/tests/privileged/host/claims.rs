//! What was asked for and what contradicts it is told, on every backend; and what copying costs.

use crate::common::{ran, trace_traffic};
use zctrace::ledger::{Claimed, Process, Snapshot};

/// Runs families and returns, for each that ran, its process.
fn traced(families: &[&str]) -> (Snapshot, Vec<(String, Process)>) {
    let (snapshot, report) = trace_traffic(&["--no-faults"], families);
    let processes = report
        .traffic
        .iter()
        .filter(|outcome| ran(outcome))
        .map(|outcome| {
            let process = snapshot
                .processes
                .iter()
                .find(|p| Some(p.pid) == outcome.pid);
            (outcome.name.clone(), process.expect("its rows").clone())
        })
        .collect();
    (snapshot, processes)
}

fn with<'a>(process: &'a Process, op: &str, claim: &str) -> Option<&'a Claimed> {
    let has = |claimed: &&Claimed| claimed.claims.iter().any(|name| name == claim);
    process
        .claims
        .iter()
        .filter(|claimed| claimed.op == op)
        .find(has)
}

#[test]
#[ignore = "needs root and BPF"]
fn what_contradicts_a_zero_copy_send_is_told() {
    let families = [
        "zc-tcp",
        "zc-tcp-off",
        "zc-udp",
        "zc-udp-out",
        "zc-udp-nosg",
    ];
    let (snapshot, processes) = traced(&families);
    assert!(!processes.is_empty(), "nothing ran");
    let functions = snapshot.backend == "functions";
    for (name, process) in processes {
        let claimed = |claim| with(&process, "send.zerocopy", claim);
        let notified = claimed("copied_notification").map_or(0, |claimed| claimed.notifications);
        let asked = claimed("zerocopy").expect("a claim");
        let [ignored, gathers_not] = ["no_so_zerocopy", "no_scatter_gather"].map(claimed);
        assert_eq!(ignored.is_some(), name == "zc-tcp-off", "{name}");
        assert_eq!(gathers_not.is_some(), name == "zc-udp-nosg", "{name}");
        match name.as_str() {
            "zc-tcp" | "zc-udp" => {
                assert!(notified > 0, "{name}");
                if functions {
                    let deferred = process
                        .claims
                        .iter()
                        .map(|c| c.totals.deferred)
                        .sum::<u64>();
                    assert_eq!(deferred, process.total.deferred, "{name}");
                    assert_eq!(asked.device.as_deref(), Some("lo"), "{name}");
                }
            }
            "zc-udp-nosg" => {
                let device = gathers_not.and_then(|claimed| claimed.device.as_deref());
                assert_eq!(device, Some("zctnear"));
                assert_eq!(
                    gathers_not.map(|c| c.totals.copied_from_user),
                    Some(process.sent)
                );
            }
            "zc-tcp-off" => {
                assert_eq!(notified, 0, "{name}");
                assert_eq!(
                    ignored.map(|c| c.totals.copied_from_user),
                    Some(process.sent)
                );
            }
            _ => {
                assert_eq!(notified, 0, "{name}");
                assert_eq!(process.total.deferred, 0, "{name}");
            }
        }
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn direct_io_that_copies_says_what_was_asked_for() {
    let (_, processes) = traced(&["direct-tmpfs", "file-tmpfs", "pipe"]);
    for (name, process) in processes {
        for op in ["read", "write"] {
            let direct = with(&process, op, "o_direct");
            assert_eq!(direct.is_some(), name == "direct-tmpfs", "{name} {op}");
            if let Some(direct) = direct {
                assert!(direct.totals.moved > 0 && direct.totals.copies() == direct.totals.moved);
            }
        }
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_gift_says_so() {
    let (_, processes) = traced(&["vmsplice-gift", "vmsplice"]);
    assert_eq!(processes.len(), 2);
    for (name, process) in processes {
        let gift = with(&process, "vmsplice", "splice_gift_or_move");
        assert_eq!(gift.is_some(), name == "vmsplice-gift", "{name}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn copying_costs_time() {
    let bytes = (128_u64 << 20).to_string();
    let (snapshot, report) = trace_traffic(&["--no-faults"], &["--bytes", &bytes, "file-tmpfs"]);
    let refused = snapshot
        .coverage
        .refused
        .iter()
        .find(|r| r.probe == "copy_sample");
    if let Some(refused) = refused {
        println!("SKIP: copying_costs_time: {}", refused.reason);
        return;
    }
    let outcome = &report.traffic[0];
    if !ran(outcome) {
        return;
    }
    let process = snapshot
        .processes
        .iter()
        .find(|p| Some(p.pid) == outcome.pid);
    let seconds = process
        .expect("its rows")
        .copy_cpu_seconds
        .expect("samples");
    // So much takes more than a sample; one thread takes no longer than there was time.
    #[expect(clippy::cast_precision_loss, reason = "an upper bound")]
    let most = snapshot.duration_ns as f64 / 1e9;
    assert!(seconds > 0.0 && seconds <= most, "{seconds} of {most} s");
}
