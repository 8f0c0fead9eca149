//! System calls that are not operations of the ledger and move no payload either.
//!
//! Copies in any other call that is not an operation are somebody's bytes. They get a row of their own
//! ([`Op::Other`](crate::Op::Other)), and the audit compares them with the ledger. So this list is short, and each line
//! says why.

/// A call that moves no payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPayload {
    /// Its name.
    pub name: &'static str,
    /// Its number.
    pub nr: i32,
    /// Why its copies are nobody's I/O.
    pub why: &'static str,
}

const fn no_payload(name: &'static str, x86: i32, arm: i32, why: &'static str) -> NoPayload {
    let arm64 = cfg!(any(bpf_target_arch = "aarch64", target_arch = "aarch64"));
    NoPayload {
        name,
        nr: if arm64 { arm } else { x86 },
        why,
    }
}

/// Every such call.
pub const NO_PAYLOAD: &[NoPayload] = &[
    no_payload(
        "execve",
        59,
        221,
        "reads the head of the program that it starts",
    ),
    no_payload(
        "execveat",
        322,
        281,
        "reads the head of the program that it starts",
    ),
    no_payload("getrandom", 318, 278, "makes its bytes up"),
    no_payload(
        "getsockopt",
        55,
        209,
        "tells settings; what TCP_ZEROCOPY_RECEIVE copies has a row",
    ),
    no_payload("setsockopt", 54, 208, "takes settings"),
];
