//! io_uring: every opcode that moves bytes, in each way in which requests are issued.

mod busy;
mod files;
mod messages;
mod overflow;
pub mod provided;
pub mod ring;
mod splices;
pub mod zcrx;

use anyhow::Result;

use crate::workload::{Arena, Prepared, Traffic, scene::mounts::Fs, traffic::uring::ring::Issue};

/// A family for each way of issuing.
macro_rules! in_each_way {
    ($($name:literal $tag:literal $what:literal $prepare:expr;)+) => {
        &[$(
            Traffic::request(
                concat!("uring-", $name),
                concat!("io_uring: ", $what),
                |arena| prepare(arena, Issue::Inline, $prepare),
            )
            .tag(concat!("u-", $tag)),
            Traffic::request(
                concat!("uring-", $name, "-worker"),
                concat!("io_uring, by worker threads: ", $what),
                |arena| prepare(arena, Issue::Worker, $prepare),
            )
            .tag(concat!("u-", $tag, "-w")),
            Traffic::request(
                concat!("uring-", $name, "-sqpoll"),
                concat!("io_uring, by an SQPOLL thread: ", $what),
                |arena| prepare(arena, Issue::SqPoll, $prepare),
            )
            .tag(concat!("u-", $tag, "-s")),
            Traffic::request(
                concat!("uring-", $name, "-taskwork"),
                concat!("io_uring, with deferred task work: ", $what),
                |arena| prepare(arena, Issue::TaskWork, $prepare),
            )
            .tag(concat!("u-", $tag, "-t")),
        )+]
    };
}

pub(in crate::workload) const TRAFFIC: &[Traffic] = in_each_way! {
    "file" "file" "reads and writes of ext4, registered buffers included: copied all the same"
        |arena, issue| files::buffered(arena, issue, Fs::Ext4);
    "tmpfs" "tmpfs" "reads and writes of tmpfs, registered buffers included"
        |arena, issue| files::buffered(arena, issue, Fs::Tmpfs);
    "direct" "dir" "O_DIRECT reads and writes of ext4"
        |arena, issue| files::direct(arena, issue, Fs::Ext4);
    "direct-holes" "dirh" "O_DIRECT reads of ext4 across holes and unwritten extents"
        |arena, issue| files::across_holes(arena, issue, Fs::Ext4);
    "block" "blk" "O_DIRECT reads and writes of a block device"
        files::block_device;
    "tcp" "tcp" "sends and receives of TCP, which wait for each other"
        messages::tcp;
    "udp" "udp" "sends and receives of UDP"
        messages::udp;
    "peek" "peek" "looks at what a TCP socket has, by recv and recvmsg"
        messages::peek;
    "send-zc" "zc" "zero-copy sends over TCP on loopback: copied later"
        messages::zerocopy;
    "multishot" "multi" "multishot receives into a ring of provided buffers"
        provided::multishot;
    "recvmsg-multishot" "mmsg" "multishot recvmsg into a ring of provided buffers"
        provided::multishot_messages;
    "read-multishot" "rmulti" "multishot reads of a pipe into provided buffers"
        provided::multishot_reads;
    "bundle" "bundle" "bundles of provided buffers, sent and received"
        provided::bundles;
    "splice" "splice" "splice and tee"
        splices::every;
    "silent" "silent" "requests whose success is not told (IOSQE_CQE_SKIP_SUCCESS)"
        files::silent;
    "silent-alone" "sila" "such requests without others that tell"
        files::silent_alone;
    "silent-recv" "silr" "receives whose success is not told, and that wait for each other"
        messages::silent;
    "silent-direct" "sild" "O_DIRECT reads and writes whose success is not told"
        files::silent_direct;
    "errors" "err" "requests that fail, and short ones"
        files::errors;
    "overflow" "over" "more completions than the completion queue has room for"
        overflow::overflow;
    "busy" "busy" "two processes at once, each with several rings"
        busy::two;
};

fn prepare(
    arena: &Arena,
    issue: Issue,
    prepare: fn(&Arena, Issue) -> Result<Prepared>,
) -> Result<Prepared> {
    ring::needs(&[])?;
    prepare(arena, issue)
}
