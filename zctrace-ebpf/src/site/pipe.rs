//! Sites of pipes and FIFOs.

use crate::{
    book::probe::{fexit, returned},
    site::file::{drained, filled},
};

fexit! {
    /// `pipe_read`, from 6.14 `anon_pipe_read`, which `fifo_pipe_read` calls.
    pipe_read(ctx) { filled(ctx.arg(1), returned(ctx)); }
}

fexit! {
    pipe_write(ctx) { drained(ctx.arg(1), returned(ctx)); }
}
