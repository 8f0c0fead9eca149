//! What a socket still has to send: pages that were passed to it by reference can be copied until then.
//!
//! The program is attached to nothing. User space runs it (`BPF_PROG_TEST_RUN`) for each socket of
//! [`LENDERS`](crate::base::maps::LENDERS) when it reads the maps, so sending costs nothing more. `sock_diag` would not
//! do: it does not know sockets by their address, and sees only those of the caller's network namespace.

use core::ffi::c_void;

use aya_ebpf::programs::RawTracePointContext;
use zctrace_common::NOT_QUEUED;

use crate::{
    base::{
        abi::IPPROTO_TCP,
        kernel::{Access as _, Probed},
        maps::offset,
    },
    book::object,
};

const TCP_FIN_WAIT1: u8 = 4;
const TCP_FIN_WAIT2: u8 = 5;
const TCP_TIME_WAIT: u8 = 6;
const TCP_CLOSE: u8 = 7;
const TCP_LAST_ACK: u8 = 9;
const TCP_LISTEN: u8 = 10;
const TCP_CLOSING: u8 = 11;

/// The bytes that the socket with this address and these ports still has to send, or may have to send again.
/// [`NOT_QUEUED`] if the address now belongs to another socket, or nothing can be left in this one.
///
/// Without aya's macro, which would drop the answer.
#[unsafe(no_mangle)]
#[unsafe(link_section = "raw_tp/queued")]
fn queued(ctx: *mut c_void) -> u32 {
    let ctx = RawTracePointContext::new(ctx);
    let sock = ctx.arg::<u64>(0) as *const u8;
    let ports = ctx.arg::<u64>(1) as u32;
    if object::ports(sock) != ports {
        return NOT_QUEUED;
    }
    if Probed::load::<u16>(sock, offset!(sock_protocol)) != IPPROTO_TCP {
        // Datagrams: the memory of those that a device or its queue has. An unused socket has 1.
        let memory: u32 = Probed::load(sock, offset!(sock_wmem_alloc));
        return memory.saturating_sub(1);
    }
    // The end of a connection has a sequence number too, from the moment it is sent.
    let end = match Probed::load::<u8>(sock, offset!(sock_state)) {
        TCP_CLOSE | TCP_TIME_WAIT | TCP_LISTEN | TCP_FIN_WAIT2 => return NOT_QUEUED,
        TCP_FIN_WAIT1 | TCP_LAST_ACK | TCP_CLOSING => 1,
        _ => 0,
    };
    let given: u32 = Probed::load(sock, offset!(tcp_write_seq));
    let acknowledged: u32 = Probed::load(sock, offset!(tcp_snd_una));
    given.wrapping_sub(acknowledged).saturating_sub(end)
}
