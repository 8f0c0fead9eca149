//! Where it happens: directories, filesystems, devices and networks that are made for it.

pub mod arena;
pub mod block_device;
pub(super) mod forked;
pub mod fuse;
pub(super) mod huge_pages;
pub(super) mod interface;
pub mod isolation;
pub mod loop_device;
pub(super) mod macvtap;
pub mod mounts;
pub mod netfilter;
mod netlink;
pub(super) mod object;
pub(super) mod opened_direct;
pub(super) mod packet_socket;
pub mod program;
pub mod route;
pub(super) mod stale;
pub(super) mod tun;
pub(super) mod ublk;
pub mod veth;
pub(super) mod vhost;
pub(super) mod xdp_program;
