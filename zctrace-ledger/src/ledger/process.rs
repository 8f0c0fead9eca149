//! What follows from the paths of a process.

use zctrace_common::Op;

use super::{Container, End, Path, Process, totals::Totals};

impl Process {
    /// A process with these paths: sums, directions and ratios follow from them.
    #[must_use]
    pub fn from_paths(
        pid: u32,
        start_time: u64,
        comm: String,
        cgroup: String,
        mut paths: Vec<Path>,
    ) -> Self {
        paths.sort_by(|a, b| {
            let moved = b.totals.moved.cmp(&a.totals.moved);
            let names = || (&a.op, &a.object, &a.evidence).cmp(&(&b.op, &b.object, &b.evidence));
            moved.then_with(names)
        });
        let mut total = Totals::default();
        let (mut sent, mut received) = (0_u64, 0_u64);
        for path in &mut paths {
            path.say_what_is_a_part();
            total.add(&path.totals);
            match path.direction() {
                Some(Direction::Sent) => sent = path.totals.moved.saturating_add(sent),
                Some(Direction::Received) => received = path.totals.moved.saturating_add(received),
                None => {}
            }
        }
        let (over_sent, over_received) = (total.over(sent), total.over(received));
        Self {
            pid,
            start_time,
            comm,
            processes: 1,
            ended_into: None,
            container: Container::of_cgroup(&cgroup),
            cgroup,
            total,
            sent,
            received,
            copies_per_sent_byte: over_sent.ratio(),
            copies_per_received_byte: over_received.ratio(),
            copies_per_sent_byte_is_lower_bound: over_sent.is_lower_bound(),
            copies_per_received_byte_is_lower_bound: over_received.is_lower_bound(),
            pending: 0,
            in_flight: 0,
            copy_cpu_seconds: None,
            cpu_seconds: None,
            not_followed: Vec::new(),
            paths,
            claims: Vec::new(),
        }
    }
}

impl Process {
    /// Whether it was seen copying, enciphering or compressing in user space: this is worth a report even without any
    /// operation.
    #[must_use]
    pub fn computes(&self) -> bool {
        self.cpu_seconds
            .is_some_and(|time| time.user_copying + time.user_ciphers + time.user_compression > 0.0)
    }
}

/// Which way the bytes of a path crossed the network's border.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To an inet or vsock socket.
    Sent,
    /// From one.
    Received,
}

impl Path {
    /// Whether no copy was seen of a copy_file_range that a filesystem leaves to its server, if that can do
    /// it: then the bytes are in the server's rows.
    #[must_use]
    pub fn is_left_to_server(&self) -> bool {
        let is_served = |end: End<'_>| end.is_on("fuse") || end.is_on("fuseblk");
        self.op == Op::CopyFileRange
            && self.totals.unexplained != 0
            && self.object.ends().into_iter().all(is_served)
    }

    /// Whether it only counts page faults, because nothing said how many bytes they were about.
    #[must_use]
    pub fn is_only_faults(&self) -> bool {
        let rest = Totals {
            ops: 0,
            ..self.totals
        };
        self.op.is_fault() && self.totals.ops != 0 && rest.is_empty()
    }

    /// The direction of the path; `None` where no inet or vsock socket takes part. A peek moves
    /// nothing: the bytes are received again later.
    #[must_use]
    pub fn direction(&self) -> Option<Direction> {
        let (source, sink) = match (self.object.joined(), self.goes_out()) {
            (Some((source, sink)), _) => (Some(source), Some(sink)),
            (None, Some(true)) => (None, self.object.sole()),
            (None, Some(false)) => (self.object.sole(), None),
            (None, None) => (None, None),
        };
        if sink.is_some_and(End::is_network) {
            Some(Direction::Sent)
        } else if source.is_some_and(End::is_network) {
            Some(Direction::Received)
        } else {
            None
        }
    }
}

impl Path {
    /// Whether its operation gives bytes away from the process's memory or takes them into it; `None`
    /// for those that do neither.
    #[must_use]
    pub fn goes_out(&self) -> Option<bool> {
        self.op.known().and_then(Op::goes_out)
    }
}

impl Path {
    /// Bytes of this path that can be among the `pending` of its process: what went by reference to a socket, or to
    /// an object that is not known.
    #[must_use]
    pub fn can_be_pending(&self) -> u64 {
        let [_, sink] = self.object.ends();
        let stays = matches!(sink, End::Pipe | End::File(_));
        if stays || self.goes_out() == Some(false) || self.direction() == Some(Direction::Received)
        {
            return 0;
        }
        self.totals.spliced
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::samples::{from_user, path, to_user};

    #[test]
    fn serving_a_file_by_read_and_write_copies_each_sent_byte_twice() {
        let bytes = 1 << 20;
        let process = Process::from_paths(
            1,
            0,
            "server".into(),
            "/".into(),
            vec![
                path("read", "file:ext4", to_user(bytes)),
                path("write", "tcp", from_user(bytes)),
            ],
        );
        assert_eq!(process.sent, bytes);
        assert_eq!(process.received, 0);
        assert_eq!(process.copies_per_sent_byte, Some(2.0));
        assert_eq!(process.copies_per_received_byte, None);
        assert_eq!(process.total.copies_per_byte, Some(1.0));
    }

    #[test]
    fn directions() {
        let direction = |op, object| path(op, object, Totals::default()).direction();
        assert_eq!(
            direction("sendfile", "file:ext4->tcp"),
            Some(Direction::Sent)
        );
        assert_eq!(direction("splice", "tcp->pipe"), Some(Direction::Received));
        assert_eq!(direction("splice", "pipe->udp"), Some(Direction::Sent));
        assert_eq!(direction("uring.send_zc", "tcp"), Some(Direction::Sent));
        assert_eq!(direction("uring.writev", "tcp"), Some(Direction::Sent));
        assert_eq!(direction("uring.recvmsg", "udp"), Some(Direction::Received));
        assert_eq!(direction("aio.write", "tcp"), Some(Direction::Sent));
        assert_eq!(direction("aio.read", "tcp"), Some(Direction::Received));
        assert_eq!(direction("aio.read", "block"), None);
        assert_eq!(direction("uring.read", "file:ext4"), None);
        assert_eq!(direction("recv", "unix"), None);
        assert_eq!(direction("send", "socket:mptcp"), Some(Direction::Sent));
        assert_eq!(direction("recv", "socket:raw"), Some(Direction::Received));
        assert_eq!(direction("recv", "socket:netlink"), None);
        assert_eq!(direction("recv.peek", "tcp"), None);
        assert_eq!(direction("sendfile", "file:ext4->file:ext4"), None);
    }
}
