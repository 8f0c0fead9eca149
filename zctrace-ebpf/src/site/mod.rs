//! Where bytes are copied or referenced: one file for each family of kernel routines.

pub(crate) mod aio;
pub(crate) mod bounce;
pub(crate) mod cache;
pub(crate) mod direct;
pub(crate) mod fault;
pub(crate) mod file;
pub(crate) mod late;
pub(crate) mod message;
pub(crate) mod overlay;
pub(crate) mod packet;
pub(crate) mod packet_send;
pub(crate) mod pipe;
pub(crate) mod reflink;
pub(crate) mod socket;
pub(crate) mod splice;
pub(crate) mod tls;
pub(crate) mod ublk;
pub(crate) mod uffd;
pub(crate) mod uring;
pub(crate) mod vhost;
pub(crate) mod vm;
pub(crate) mod xdp;
pub(crate) mod zcrx;
pub(crate) mod zerocopy;
pub(crate) mod zerocopy_receive;
