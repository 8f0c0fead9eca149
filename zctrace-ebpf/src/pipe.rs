//! Sites of pipes and FIFOs.

use crate::{
    file::{drained, filled},
    probe::{fexit, returned},
};

fexit! {
    /// `pipe_read`, from 6.14 `anon_pipe_read`, which `fifo_pipe_read` calls.
    pipe_read(ctx) { filled(ctx.arg(1), returned(ctx)); }
}

fexit! {
    pipe_write(ctx) { drained(ctx.arg(1), returned(ctx)); }
}
