//! Empty: the user side depends on this library so that cargo rebuilds it when the BPF programs
//! change. The programs are the `zctrace` binary.
#![no_std]
