//! AF_XDP in copy mode: each frame is copied once, from where the driver put it into memory that the
//! receiver shares with the kernel. A frame is a descriptor in a ring, and needs no system call.

use anyhow::Result;
use nix::errno::Errno;
use zctrace_common::{Class, Op};

use super::{
    super::{Expected, ExpectedRow, Prepared, Skip},
    Job, Ready, Setting, Technique, Variant,
};
use crate::workload::{
    scene::interface::{FAR, NEAR},
    traffic::xdp::{BATCH, FRAME, Socket, Wire},
};

pub(super) const TECHNIQUE: Technique = Technique::new(
    "af-xdp",
    "receive frames with AF_XDP in copy mode",
    Job::Receive,
    &[Variant::only("af-xdp", prepare)],
);

const SOURCE: &str = "source";
/// Counters: whether the receiver is there, and the frames it has given back.
const READY: usize = 0;
const TAKEN: usize = 1;
/// A frame has addresses, and is not padded.
const LEAST: usize = 64;

fn prepare(setting: &Setting<'_>) -> Result<Ready> {
    let parameters = setting.parameters;
    let length = parameters.buffer.clamp(LEAST, FRAME);
    // Whole frames.
    let frames = parameters.bytes.div_ceil(length as u64);
    let bytes = frames * length as u64;
    let wire = Wire::new().map_err(one_pair)?;
    let program = wire.program.clone();
    let row = |op, class| {
        let row = ExpectedRow::new(op, "socket:xdp");
        row.ops(frames).class(class, bytes).needs_functions()
    };
    let expected = Expected::new()
        .row(row(Op::Recv, Class::CopiedToUser))
        .row(row(Op::Send, Class::CopiedFromUser).of(SOURCE));
    let shared = setting.shared;
    let batches = move || {
        (0..frames)
            .step_by(BATCH as usize)
            .map(move |sent| (sent, (frames - sent).min(BATCH.into()) as u32))
    };
    let mut prepared = Prepared::new(expected, move || {
        let mut far = Socket::new(FAR)?;
        program.redirect_to(&far.fd)?;
        far.offer_all();
        shared.count(READY, 1);
        for (_, batch) in batches() {
            far.receive(batch, length)?;
            shared.count(TAKEN, batch.into());
        }
        Ok(())
    })
    .beside(SOURCE, move || {
        shared.wait_for(READY, 1)?;
        let mut near = Socket::new(NEAR)?;
        for (sent, batch) in batches() {
            // What the receiver has no memory for would be lost.
            shared.wait_for(TAKEN, sent)?;
            near.send(batch, length)?;
        }
        Ok(())
    });
    prepared.keep.push(Box::new(wire));
    Ok(Ready::new(bytes, prepared))
}

/// With several threads there is no second pair of devices.
fn one_pair(error: anyhow::Error) -> anyhow::Error {
    let is_taken = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<Errno>() == Some(&Errno::EEXIST)
    };
    if error.chain().any(is_taken) {
        return Skip("one receiver at a time: it has the device for itself".to_owned()).into();
    }
    error
}
