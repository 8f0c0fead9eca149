//! A thread of the kernel takes the requests out of the queue: sends without a system call, and with
//! the same copy.

use super::{
    super::{Job, Technique, Variant},
    send::prepare,
};
use crate::workload::traffic::uring::ring::Issue;

pub(in super::super) const TECHNIQUE: Technique = Technique::new(
    "uring-sqpoll",
    "send memory with io_uring polled by the kernel",
    Job::SendMemory,
    &[Variant::only("ur-sqpoll", |setting| {
        prepare(setting, Issue::SqPoll)
    })],
);
