//! Traffic for tests: a file for each way to move bytes, with every byte known beforehand.

pub(super) mod aio;
pub(super) mod awkward;
pub(super) mod btrfs_send;
pub(super) mod chars;
pub(super) mod clone;
pub(super) mod copy_file_range;
pub(super) mod demo;
pub(super) mod direct;
pub(super) mod fault_anon;
pub(super) mod fault_file;
pub(super) mod fault_huge;
pub(super) mod file;
pub(super) mod fork_pinned;
mod fuse;
pub(super) mod ip_sockets;
pub(super) mod keys;
pub mod ktls;
pub(super) mod late;
pub(super) mod many_ops;
pub(super) mod memory_files;
pub(super) mod message_queue;
pub(super) mod overlay;
pub(super) mod packet_ring;
pub(super) mod packet_send;
pub(super) mod pipe;
pub(super) mod process_vm;
pub(super) mod sendfile;
pub(super) mod sockmap;
pub(super) mod splice;
pub(super) mod splice_unix;
pub(super) mod tcp;
mod tcp_apart;
pub(super) mod tee;
pub(super) mod terminal;
mod ublk;
pub(super) mod udp;
pub(crate) mod uffd;
pub(super) mod unix;
pub(super) mod unspliceable;
pub mod uring;
mod vhost;
pub(super) mod vmsplice;
pub(super) mod xdp;
pub mod zerocopy;
pub(super) mod zerocopy_receive;

use super::Traffic;

/// Every technique's families, in the order in which they run.
pub(super) const ALL: &[&[Traffic]] = &[
    file::TRAFFIC,
    chars::TRAFFIC,
    memory_files::TRAFFIC,
    terminal::TRAFFIC,
    pipe::TRAFFIC,
    unix::TRAFFIC,
    tcp::TRAFFIC,
    tcp_apart::TRAFFIC,
    sockmap::TRAFFIC,
    ip_sockets::TRAFFIC,
    udp::TRAFFIC,
    zerocopy::TRAFFIC,
    late::TRAFFIC,
    late::ON_ROUTES,
    zerocopy_receive::TRAFFIC,
    packet_ring::TRAFFIC,
    packet_send::TRAFFIC,
    xdp::TRAFFIC,
    ktls::TRAFFIC,
    overlay::TRAFFIC,
    btrfs_send::TRAFFIC,
    message_queue::TRAFFIC,
    fuse::TRAFFIC,
    ublk::TRAFFIC,
    vhost::TRAFFIC,
    uffd::TRAFFIC,
    keys::TRAFFIC,
    sendfile::TRAFFIC,
    splice::TRAFFIC,
    splice_unix::TRAFFIC,
    unspliceable::TRAFFIC,
    vmsplice::TRAFFIC,
    tee::TRAFFIC,
    copy_file_range::TRAFFIC,
    clone::TRAFFIC,
    process_vm::TRAFFIC,
    direct::TRAFFIC,
    fault_file::TRAFFIC,
    fault_anon::TRAFFIC,
    fault_huge::TRAFFIC,
    fork_pinned::TRAFFIC,
    uring::TRAFFIC,
    uring::zcrx::TRAFFIC,
    aio::TRAFFIC,
    many_ops::TRAFFIC,
    demo::TRAFFIC,
];
