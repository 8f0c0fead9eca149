//! Requests to io_uring and Linux AIO: how many each process has submitted, and how they were issued.

use std::collections::{BTreeMap, BTreeSet};

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData},
};
use zctrace_common::{Acc, Object, ObjectKind, Op, Request, RequestCounts};

use super::{Error, batch, map};
use crate::ledger::Ways;

/// The requests of every process that has some, by its slot.
pub(super) fn by_slot(ebpf: &mut Ebpf) -> Result<BTreeMap<u32, Vec<(Op, Ways)>>, Error> {
    let counts: HashMap<&mut MapData, u32, RequestCounts> =
        HashMap::try_from(map(ebpf, "REQUEST_COUNTS"))?;
    let counts = counts.iter().flatten();
    Ok(counts.map(|(slot, counts)| (slot, of(&counts))).collect())
}

/// Those of one process.
pub(super) fn of(counts: &RequestCounts) -> Vec<(Op, Ways)> {
    let ops = Op::ALL.iter().filter_map(|&op| {
        let index = RequestCounts::index(op as u32);
        let submitted = *counts.submitted.get(index)?;
        let [inline, worker, sq_poll, task_work] = *counts.completed.get(index)?;
        let mut ways = Ways {
            submitted,
            inline,
            worker,
            sq_poll,
            task_work,
            ..Ways::default()
        };
        if !Request::is_of_aio(op as u32) {
            ways.taken = counts.taken;
            ways.submissions = counts.submissions;
            ways.waits = counts.waits;
        }
        (submitted != 0).then_some((op, ways))
    });
    ops.collect()
}

/// One of the requests under way: where it is, and which of those that have been there.
pub type RequestId = (u64, u32);

/// Requests of io_uring that wait for input, of which no site has seen anything.
pub(super) fn idle(ebpf: &mut Ebpf) -> Result<BTreeSet<RequestId>, Error> {
    let requests: Vec<Request> = batch::values(map(ebpf, "REQUESTS"))?;
    let idle = requests.iter().filter(|request| is_idle(request));
    Ok(idle
        .map(|request| (request.key, request.generation))
        .collect())
}

fn is_idle(request: &Request) -> bool {
    use ObjectKind::{Char, Pipe, Socket, Tcp, Udp, Unix, Vsock};

    let op = u16::try_from(request.op).ok().and_then(Op::from_raw);
    let waits = match op {
        // A server's command waits for what it shall serve.
        Some(
            Op::UringRecv | Op::UringRecvmsg | Op::UringRecvPeek | Op::UringRecvZc | Op::UringCmd,
        ) => true,
        Some(Op::UringRead | Op::UringReadv | Op::UringReadFixed | Op::UringReadMultishot) => {
            Object::unpack(request.source).is_some_and(|object| {
                matches!(object.kind, Char | Pipe | Socket | Tcp | Udp | Unix | Vsock)
            })
        }
        _ => false,
    };
    request.key != 0 && request.filled == 0 && waits
}

/// Makes slots ones of processes without requests.
pub(super) fn forget(ebpf: &mut Ebpf, ended: &BTreeSet<u32>) -> Result<(), Error> {
    let mut counts: HashMap<&mut MapData, u32, RequestCounts> =
        HashMap::try_from(map(ebpf, "REQUEST_COUNTS"))?;
    let all: Vec<_> = counts.iter().flatten().collect();
    let mut open = BTreeSet::new();
    for (slot, counts_of) in all.iter().filter(|(slot, _)| ended.contains(slot)) {
        if of(counts_of).iter().any(|(_, ways)| ways.in_flight() != 0) {
            open.insert(*slot);
        }
        counts.remove(slot)?;
    }
    release(ebpf, &open)
}

/// Frees the records of requests of processes that have ended. The kernel has ended such a request, but nobody saw it:
/// one of Linux AIO whose result no call fetched.
fn release(ebpf: &mut Ebpf, ended: &BTreeSet<u32>) -> Result<(), Error> {
    if ended.is_empty() {
        return Ok(());
    }
    let requests: Vec<Request> = batch::values(map(ebpf, "REQUESTS"))?;
    let mut array: Array<_, Request> = Array::try_from(map(ebpf, "REQUESTS"))?;
    for (request, index) in requests.into_iter().zip(0..) {
        if request.key != 0 && ended.contains(&request.proc_slot) && is_of_aio(&request) {
            let free = Request {
                key: 0,
                filled: 0,
                acc: [0; Acc::COUNT],
                flags: 0,
                ..request
            };
            array.set(index, free, 0)?;
        }
    }
    Ok(())
}

fn is_of_aio(request: &Request) -> bool {
    Request::is_of_aio(request.op)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receive_waits_until_something_was_seen_of_it() {
        let armed = Request {
            key: 1,
            op: Op::UringRecv as u32,
            ..Request::default()
        };
        assert!(is_idle(&armed));
        assert!(!is_idle(&Request { key: 0, ..armed }));
        assert!(!is_idle(&Request { filled: 1, ..armed }));
        let send = Op::UringSend as u32;
        assert!(!is_idle(&Request { op: send, ..armed }));
        let read = |kind: ObjectKind| {
            let mut request = armed;
            request.op = Op::UringRead as u32;
            request.source = (kind as u64) << 56;
            request
        };
        assert!(is_idle(&read(ObjectKind::Pipe)));
        assert!(!is_idle(&read(ObjectKind::File)));
    }

    #[test]
    fn every_request_is_in_flight_or_completed() {
        let ways = Ways {
            submitted: 10,
            inline: 1,
            worker: 2,
            sq_poll: 3,
            task_work: 1,
            ..Ways::default()
        };
        assert_eq!(ways.completed(), 7);
        assert_eq!(ways.in_flight(), 3);
    }
}
