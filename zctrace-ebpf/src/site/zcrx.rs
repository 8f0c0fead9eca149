//! Zero-copy receive of io_uring. The completions with bytes are not reported by `io_uring_complete`
//! (`io_zcrx_queue_cqe`), so what the socket gave is.

use zctrace_common::{Acc, Op};

use crate::book::{
    account,
    probe::{program, returned, returned_int},
    request, target,
};

program! {
    /// Bytes that no device has put into the application's memory are copied there.
    fexit marked io_zcrx_copy_chunk(ctx) {
        account::saw_result(Acc::ToUser, returned(ctx));
    }
}

program! {
    /// What such a request took from its socket, each time that something was there.
    fexit marked tcp_read_sock(ctx) {
        let bytes = returned_int(ctx);
        if bytes <= 0 {
            return 0;
        }
        // SAFETY: nothing else in this program refers to the thread's record.
        let Some(task) = (unsafe { target::current() }) else { return 0 };
        if task.request_op != Op::UringRecvZc as u32 {
            return 0;
        }
        // SAFETY: nothing else in this program refers to the request's record.
        if let Some(request) = unsafe { request::current(task) } {
            request::know_file(request);
            request::complete(request, bytes);
        }
    }
}
