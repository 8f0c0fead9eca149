//! Sites of pipes and FIFOs.

use crate::{
    book::probe::{program, returned},
    site::file::{drained, filled},
};

program! {
    /// `pipe_read`, from 6.14 `anon_pipe_read`, which `fifo_pipe_read` calls.
    fexit marked pipe_read(ctx) { filled(ctx.arg(1), returned(ctx)); }
}

program! {
    fexit marked pipe_write(ctx) { drained(ctx.arg(1), returned(ctx)); }
}
