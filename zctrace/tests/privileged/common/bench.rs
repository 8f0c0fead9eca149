//! Documents of `zctrace bench`, and which workloads may be skipped where.

use std::process::Output;

use zctrace::bench::{Document, Entry, Status};

/// What may be skipped: workload, start of the kernel's version, start of the reason. Whatever else is skipped is an
/// error.
const SKIPS: &[(&str, &str, &str)] = &[
    // Before 6.6 a tmpfs knows no O_DIRECT.
    ("direct-read:tmpfs", "6.1.", "this kernel's tmpfs refuses"),
    ("direct-write:tmpfs", "6.1.", "this kernel's tmpfs refuses"),
    // Zero-copy receive came with 6.15. Before 7.2 it needs a device that splits headers off, which no virtual one
    // does.
    ("uring-recv-zc", "6.1.", "this kernel's io_uring has no"),
    ("uring-recv-zc", "6.12.", "this kernel's io_uring has no"),
    ("uring-recv-zc", "6.18.", "no device here can place packets"),
    // Built without CONFIG_TLS.
    ("ktls-sendfile", "6.18.", "no kernel TLS"),
];

/// What the program wrote with `--json`.
pub(crate) fn document(output: &Output) -> Document {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        let stderr = String::from_utf8_lossy(&output.stderr);
        panic!("{error}: {stderr}")
    })
}

/// Whether a workload ended as it must. Calls say nothing of page faults, nor of what happens after
/// them: on that backend, nothing of such a workload can be measured.
pub(crate) fn is_right(entry: &Entry, backend: &str) -> bool {
    match entry.status {
        Status::Ok => true,
        Status::Unverified => backend == "tracepoints",
        Status::Differs | Status::Skipped => false,
    }
}

/// How many workloads may be skipped on a kernel.
pub(crate) fn known_skips(kernel: &str) -> usize {
    let of_kernel = SKIPS
        .iter()
        .filter(|(_, version, _)| kernel.starts_with(version));
    of_kernel.count()
}

/// Whether a workload that was skipped is in the table.
pub(crate) fn is_known_skip(entry: &Entry, kernel: &str) -> bool {
    let reason = entry.reason.as_deref().unwrap_or_default();
    SKIPS.iter().any(|(name, version, start)| {
        entry.name == *name && kernel.starts_with(version) && reason.starts_with(start)
    })
}
