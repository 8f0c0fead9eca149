//! `--port`: who holds a port, also where that is hard to see.

use std::{
    fs,
    io::IoSlice,
    net::{TcpListener, UdpSocket},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::net::UnixDatagram,
    },
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use caps::{CapSet, Capability};
use io_uring::IoUring;
use nix::{
    sched::{CloneFlags, unshare},
    sys::{
        signal::{Signal, killpg},
        socket::{
            AddressFamily, Backlog, ControlMessage, MsgFlags, SockFlag, SockType, SockaddrIn, bind,
            listen, sendmsg, setsockopt, socket, sockopt::ReusePort,
        },
    },
    unistd::Pid,
};
use zctrace::claims::{Document, Verdict};

use crate::common::{attached::Attached, zctrace};

const MIB: usize = 1 << 20;

/// A socket that listens on a port, which others may do too.
fn listener(port: u16) -> OwnedFd {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
    setsockopt(&socket, ReusePort, &true).unwrap();
    bind(socket.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, port)).unwrap();
    listen(&socket, Backlog::new(1).unwrap()).unwrap();
    socket
}

/// The port of a socket.
fn port_of(socket: &OwnedFd) -> u16 {
    let listener = TcpListener::from(socket.try_clone().unwrap());
    listener.local_addr().unwrap().port()
}

/// A process that holds a socket and reads a file again and again.
struct Server {
    child: Child,
    _directory: tempfile::TempDir,
}

impl Server {
    fn with(socket: &OwnedFd) -> Self {
        use std::os::unix::process::CommandExt as _;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("data");
        fs::write(&file, vec![7; 4 * MIB]).unwrap();
        let child = Command::new("sh")
            .args(["-c", "while cat \"$0\" > /dev/null; do sleep 0.05; done"])
            .arg(&file)
            .stdin(socket.try_clone().unwrap())
            .process_group(0)
            .spawn()
            .unwrap();
        Self {
            child,
            _directory: directory,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = killpg(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGKILL,
        );
        let _ = self.child.wait();
    }
}

fn check(port: u16, duration: &str) -> Attached {
    Attached::check_of_port(port, &["--duration", duration])
}

fn judged(output: &Output) -> Document {
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

fn is_incomplete(document: &Document) -> bool {
    let mut reasons = document.reasons.iter();
    reasons.any(|reason| reason.code == "target-incomplete")
}

fn stat(port: u16) -> (bool, String) {
    let output = Command::new(zctrace())
        .args(["stat", "--duration", "100ms", "--port", &port.to_string()])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), said)
}

/// A ring holds the one, a thread with descriptors of its own the other, and a socket with a peer is the third.
#[test]
#[ignore = "needs root and BPF"]
fn who_holds_a_port_out_of_sight_is_found() {
    let socket = listener(0);
    let port = port_of(&socket);
    let ring = IoUring::new(4).unwrap();
    ring.submitter()
        .register_files(&[socket.as_raw_fd()])
        .unwrap();
    drop(socket);
    let found = stat(port);
    assert!(found.0 && !found.1.contains("note:"), "{found:?}");
    drop(ring);

    let (say, said) = mpsc::channel();
    let (stop, stopped) = mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        unshare(CloneFlags::CLONE_FILES).unwrap();
        let own = listener(0);
        say.send(port_of(&own)).unwrap();
        let _ = stopped.recv();
    });
    let found = stat(said.recv().unwrap());
    assert!(found.0 && !found.1.contains("note:"), "{found:?}");
    drop(stop);
    thread.join().unwrap();

    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.connect(peer.local_addr().unwrap()).unwrap();
    let found = stat(udp.local_addr().unwrap().port());
    assert!(found.0 && !found.1.contains("note:"), "{found:?}");
}

/// One socket is in a message that nobody has received.
#[test]
#[ignore = "needs root and BPF"]
fn a_socket_that_nobody_is_seen_to_hold_is_no_pass() {
    let socket = listener(0);
    let port = port_of(&socket);
    let _server = Server::with(&socket);
    drop(socket);
    let output = check(port, "500ms").finish();
    let document = judged(&output);
    assert_eq!(document.verdict, Verdict::Pass, "{:?}", document.reasons);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");

    let other = listener(port);
    let (sender, _receiver) = UnixDatagram::pair().unwrap();
    let rights = [other.as_raw_fd()];
    let message = [ControlMessage::ScmRights(&rights)];
    let data = [IoSlice::new(b"x")];
    let flags = MsgFlags::empty();
    sendmsg::<()>(sender.as_raw_fd(), &data, &message, flags, None).unwrap();
    drop(other);
    let document = judged(&check(port, "500ms").finish());
    assert_eq!(document.verdict, Verdict::Inconclusive);
    assert!(is_incomplete(&document), "{:?}", document.reasons);
    let (_, said) = stat(port);
    assert_eq!(said.matches("1 socket of this port").count(), 1, "{said}");
}

/// Without the capability, zctrace sees the descriptors of those who have no more privileges than it has.
#[test]
#[ignore = "needs root and BPF"]
fn who_cannot_be_inspected_is_no_pass() {
    let limited = thread::spawn(|| {
        let socket = listener(0);
        let port = port_of(&socket);
        // It holds the same socket, and has every capability.
        let _shielded = Server::with(&socket);
        caps::drop(None, CapSet::Bounding, Capability::CAP_SYS_PTRACE).unwrap();
        let _server = Server::with(&socket);
        let (_, said) = stat(port);
        (judged(&check(port, "500ms").finish()), said)
    });
    let (document, said) = limited.join().unwrap();
    assert_eq!(document.verdict, Verdict::Inconclusive);
    assert!(is_incomplete(&document), "{:?}", document.reasons);
    let help = "cannot be inspected: run as root or with cap_sys_ptrace";
    assert_eq!(said.matches(help).count(), 1, "{said}");
}

/// It comes when everything is attached, and leaves before the end.
#[test]
#[ignore = "needs root and BPF"]
fn who_holds_a_port_for_a_while_is_missed() {
    let socket = listener(0);
    let port = port_of(&socket);
    let _server = Server::with(&socket);
    drop(socket);
    let check = check(port, "5s");
    // This process is none of the target.
    let other = listener(port);
    let guest = Command::new("sleep")
        .arg("3")
        .stdin(other.try_clone().unwrap())
        .spawn();
    drop(other);
    let mut guest = guest.unwrap();
    thread::sleep(Duration::from_millis(3500));
    assert!(guest.try_wait().unwrap().is_some());
    let document = judged(&check.finish());
    assert_eq!(document.verdict, Verdict::Inconclusive);
    assert!(is_incomplete(&document), "{:?}", document.reasons);
}
