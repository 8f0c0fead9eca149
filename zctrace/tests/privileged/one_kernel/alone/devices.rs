//! What the tracepoints backend concludes from a route, its devices and what else packets meet there: pages that
//! `sendfile` passes to a socket stay as they are where the device is known to leave them alone, and nothing is known
//! where it is not. What the kernel then does on such routes, the module `routes` proves.
//!
//! A socket that is under repair (`TCP_REPAIR`) is connected without anybody at the other end, so a device that throws
//! packets away serves as hardware.

use std::{
    env, fs,
    io::{Seek as _, Write as _},
    net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream},
    os::fd::{AsRawFd, FromRawFd as _, OwnedFd},
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    errno::Errno,
    libc,
    sched::{CloneFlags, unshare},
    sys::{
        sendfile::sendfile,
        socket::{
            AddressFamily, SockFlag, SockType, SockaddrIn, connect, setsockopt, socket, sockopt,
        },
        wait::{WaitStatus, waitpid},
    },
    unistd::{ForkResult, fork},
};
use zctrace::{
    claims::{Circumstances, Claim, Verdict, judge},
    ledger::Snapshot,
    tracer::BACKEND_VARIABLE,
    workload::{
        Skip,
        scene::{netfilter, program::run},
    },
};

use crate::common::{claim, is_emulated, only, program_of, set_option, shared, zctrace};

/// Set in the process that sends.
const SENDS: &str = "ZCTRACE_TEST_DEVICES";
const BYTES: usize = 2 << 20;

/// Devices of which the last one made, `zctroute`, has the route.
struct Devices {
    name: &'static str,
    made: &'static [&'static str],
    /// Whether packets can be copied there.
    may_copy: bool,
}

const fn of(name: &'static str, may_copy: bool, made: &'static [&'static str]) -> Devices {
    Devices {
        name,
        made,
        may_copy,
    }
}

const ALL: &[Devices] = &[
    of("device", false, &["link add zctroute type dummy"]),
    of(
        "bridge",
        false,
        &[
            "link add zctlow type dummy",
            "link add zctroute type bridge",
            "link set zctlow master zctroute",
        ],
    ),
    of(
        "bond",
        false,
        &[
            "link add zctlow type dummy",
            "link add zctroute type bond",
            "link set zctlow master zctroute",
        ],
    ),
    of(
        "vlan over a bridge",
        false,
        &[
            "link add zctlow type dummy",
            "link add zctbridge type bridge",
            "link set zctlow master zctbridge",
            "link set zctbridge up",
            "link add link zctbridge name zctroute type vlan id 5",
        ],
    ),
    of(
        "macvlan",
        false,
        &[
            "link add zctlow type dummy",
            "link add link zctlow name zctroute type macvlan",
        ],
    ),
    of(
        "bridge over a bond of two",
        false,
        &[
            "link add zctlow type dummy",
            "link add zctlower type dummy",
            "link add zctbond type bond",
            "link set zctlow master zctbond",
            "link set zctlower master zctbond",
            "link add zctroute type bridge",
            "link set zctbond master zctroute",
        ],
    ),
    of(
        "no scatter-gather",
        true,
        &[
            "link add zctroute type dummy",
            "ethtool -K zctroute scatter-gather off",
        ],
    ),
    of(
        "no checksum offload",
        true,
        &[
            "link add zctroute type dummy",
            "ethtool -K zctroute tx-checksumming off",
        ],
    ),
    of(
        "macvlan over a device without scatter-gather",
        true,
        &[
            "link add zctlow type dummy",
            "ethtool -K zctlow scatter-gather off",
            "link add link zctlow name zctroute type macvlan",
        ],
    ),
    of(
        "bridge of two, one without scatter-gather",
        true,
        &[
            "link add zctlow type dummy",
            "link add zctlower type dummy",
            "ethtool -K zctlower scatter-gather off",
            "link add zctroute type bridge",
            "link set zctlow master zctroute",
            "link set zctlower master zctroute",
        ],
    ),
    of(
        "bridge of two, one leading elsewhere",
        true,
        &[
            "link add zctlow type dummy",
            "link add zctnear type veth peer name zctfar",
            "link add zctroute type bridge",
            "link set zctlow master zctroute",
            "link set zctnear master zctroute",
        ],
    ),
    of(
        "bridge over a bond of two, one without checksum offload",
        true,
        &[
            "link add zctlow type dummy",
            "link add zctlower type dummy",
            "ethtool -K zctlower tx-checksumming off",
            "link add zctbond type bond",
            "link set zctlow master zctbond",
            "link set zctlower master zctbond",
            "link add zctroute type bridge",
            "link set zctbond master zctroute",
        ],
    ),
    of(
        "three levels",
        true,
        &[
            "link add zctlow type dummy",
            "link add zctbridge type bridge",
            "link set zctlow master zctbridge",
            "link add link zctbridge name zctvlan type vlan id 5",
            "link add zctroute type bridge",
            "link set zctvlan master zctroute",
        ],
    ),
    of(
        "veth pair",
        true,
        &["link add zctroute type veth peer name zctfar"],
    ),
    of("WireGuard", true, &["link add zctroute type wireguard"]),
    of("tun", true, &["tuntap add dev zctroute mode tun"]),
    of(
        "macvlan beside another",
        true,
        &[
            "link add zctlow type dummy",
            "link add link zctlow name zctother type macvlan",
            "link add link zctlow name zctroute type macvlan",
        ],
    ),
];

/// What packets meet on a device that leaves them alone: loopback.
struct OnTheWay {
    name: &'static str,
    /// Programs that make it, run with loopback up.
    made: &'static [&'static str],
    /// What no program of the distribution makes.
    also: fn() -> Result<()>,
    /// Whether the first bytes go out before the connection is established (TCP Fast Open).
    fast_open: bool,
    /// What the reason has to name; nothing where pages stay.
    named: Option<&'static str>,
}

const fn on(
    name: &'static str,
    named: Option<&'static str>,
    made: &'static [&'static str],
) -> OnTheWay {
    OnTheWay {
        name,
        made,
        also: || Ok(()),
        fast_open: false,
        named,
    }
}

const fn with(name: &'static str, named: &'static str, also: fn() -> Result<()>) -> OnTheWay {
    OnTheWay {
        name,
        made: &[],
        also,
        fast_open: false,
        named: Some(named),
    }
}

const WAYS: &[OnTheWay] = &[
    on("nothing", None, &[]),
    on("pfifo", None, &["tc qdisc add dev lo root pfifo"]),
    on("bfifo", None, &["tc qdisc add dev lo root bfifo"]),
    on("pfifo_fast", None, &["tc qdisc add dev lo root pfifo_fast"]),
    on("fq", None, &["tc qdisc add dev lo root fq"]),
    on("codel", None, &["tc qdisc add dev lo root codel"]),
    on("fq_codel", None, &["tc qdisc add dev lo root fq_codel"]),
    on(
        "fq_codel with a filter",
        Some("filters of queue fq_codel"),
        &[
            "tc qdisc add dev lo root handle 1: fq_codel",
            "tc filter add dev lo parent 1: protocol ip u32 match u32 0 0 classid 1:1",
        ],
    ),
    on(
        "netem",
        Some("queue netem"),
        &["tc qdisc add dev lo root netem corrupt 1%"],
    ),
    on("htb", Some("queue htb"), &["tc qdisc add dev lo root htb"]),
    on(
        "netem below prio",
        Some("queue prio"),
        &[
            "tc qdisc add dev lo root handle 1: prio",
            "tc qdisc add dev lo parent 1:1 netem duplicate 1%",
        ],
    ),
    on(
        "a filter on leaving",
        Some("tc filters"),
        &[
            "tc qdisc add dev lo clsact",
            "tc filter add dev lo egress protocol ip u32 match u32 0 0 action mirred egress mirror dev lo",
        ],
    ),
    on(
        "a filter on arrival",
        Some("tc filters"),
        &[
            "tc qdisc add dev lo ingress",
            "tc filter add dev lo ingress protocol ip u32 match u32 0 0 classid 1:1",
        ],
    ),
    with("nfqueue", "netfilter rules", || {
        netfilter::add(
            netfilter::IPV4,
            netfilter::LOCAL_OUT,
            netfilter::Rule::Queues,
        )
    }),
    with("a rule", "netfilter rules", || {
        netfilter::add(
            netfilter::IPV4,
            netfilter::LOCAL_OUT,
            netfilter::Rule::Counts,
        )
    }),
    with("a capture with a ring", "packet socket with a ring", || {
        capture(true)
    }),
    with("a route that has changed", "route that has changed", || {
        run("ip route add 192.0.2.0/24 dev lo")
    }),
    OnTheWay {
        name: "a capture without a ring",
        made: &[],
        also: || capture(false),
        fast_open: false,
        named: None,
    },
    // From then on it is in every network namespace.
    OnTheWay {
        name: "connection tracking",
        made: &[],
        also: track,
        fast_open: false,
        named: None,
    },
    OnTheWay {
        name: "TCP Fast Open",
        made: &[],
        also: || Ok(()),
        fast_open: true,
        named: Some("connection that is not established"),
    },
];

/// Lets the kernel track connections, without a rule.
fn track() -> Result<()> {
    if !is_emulated() {
        return Err(Skip("connection tracking: it would stay on this machine".to_owned()).into());
    }
    run("modprobe nf_conntrack enable_hooks=1")?;
    ensure!(
        fs::exists("/proc/net/nf_conntrack")?
            || fs::exists("/proc/sys/net/netfilter/nf_conntrack_count")?,
        "nothing tracks"
    );
    Ok(())
}

/// Opens a packet socket that stays until the process ends.
fn capture(ring: bool) -> Result<()> {
    // `ETH_P_ALL`, in network order.
    // SAFETY: no memory is passed.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0x300) };
    let fd = Errno::result(fd).context("a packet socket")?;
    if ring {
        const PACKET_RX_RING: libc::c_int = 5;
        // Blocks of 4 KiB, with frames of 2 KiB.
        let request: [libc::c_uint; 4] = [4096, 4, 2048, 8];
        // SAFETY: the request outlives the call, which only reads it.
        let result = unsafe {
            libc::setsockopt(
                fd,
                libc::SOL_PACKET,
                PACKET_RX_RING,
                request.as_ptr().cast(),
                size_of_val(&request) as libc::socklen_t,
            )
        };
        Errno::result(result).context("PACKET_RX_RING")?;
    }
    Ok(())
}

fn tcp_socket() -> nix::Result<OwnedFd> {
    socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::empty(),
        None,
    )
}

/// Sets an option of a TCP socket.
fn option(socket: &impl AsRawFd, name: libc::c_int, value: libc::c_int) -> nix::Result<()> {
    set_option(socket, libc::IPPROTO_TCP, name, &value)
}

/// Turns the repair of a TCP connection on or off.
fn repair(socket: &OwnedFd, on: libc::c_int) -> Result<()> {
    const TCP_REPAIR: libc::c_int = 19;
    option(socket, TCP_REPAIR, on).context("TCP_REPAIR")
}

/// Makes the devices in a network namespace of its own and sends over the last one.
fn send(devices: &Devices) -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    for line in devices.made {
        if line.starts_with("ethtool") {
            run(line)?;
        } else {
            run(&format!("ip {line}"))?;
        }
    }
    run("ip address add 198.51.100.1/24 dev zctroute")?;
    run("ip link set zctroute up")?;
    wait_for_queues()?;
    if !devices.may_copy {
        // Newer kernels give a VLAN over a bridge only the offloads that the devices below have for tagged packets.
        let output = Command::new("ethtool").args(["-k", "zctroute"]).output()?;
        let features = String::from_utf8_lossy(&output.stdout);
        let lacks = |name: &str| features.contains(&format!("\n{name}: off"));
        if lacks("scatter-gather") || lacks("tx-checksumming") {
            let text = format!(
                "{}: this kernel does not give it all offloads",
                devices.name
            );
            return Err(Skip(text).into());
        }
    }
    let near = tcp_socket()?;
    repair(&near, 1)?;
    let far = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 2), 9);
    connect(near.as_raw_fd(), &SockaddrIn::from(far)).context("connecting")?;
    repair(&near, 0)?;
    send_over(&near, BYTES)
}

/// Raises every device made here, and waits until each has its queue: until then the kernel throws packets away.
fn wait_for_queues() -> Result<()> {
    let all = || -> Result<String> {
        let output = Command::new("ip").args(["-o", "link"]).output()?;
        let text = String::from_utf8(output.stdout)?;
        let made = text.lines().filter(|line| line.contains(": zct"));
        Ok(made.collect::<Vec<_>>().join("\n"))
    };
    for line in all()?.lines() {
        let name = line.split([' ', ':', '@']).nth(2).context("no name")?;
        run(&format!("ip link set {name} up"))?;
    }
    for _ in 0..100 {
        if !all()?.contains("qdisc noop ") {
            return Ok(());
        }
        sleep(Duration::from_millis(100));
    }
    bail!("no queue: {}", all()?)
}

/// Makes what packets meet in a network namespace of its own, and sends over loopback.
fn send_on(way: &OnTheWay) -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    run("ip link set lo up")?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    if way.fast_open {
        // Client and server, without cookies.
        fs::write("/proc/sys/net/ipv4/tcp_fastopen", "1027")?;
        const CONNECTIONS: usize = 32;
        for _ in 0..CONNECTIONS {
            let near = fast_open(&listener)?;
            send_over(&near, BYTES / CONNECTIONS)?;
            listener.accept()?;
        }
        return Ok(());
    }
    let near = OwnedFd::from(TcpStream::connect(listener.local_addr()?)?);
    for line in way.made {
        run(line)?;
    }
    (way.also)()?;
    send_over(&near, BYTES)
}

/// A socket that connects when something is sent.
fn fast_open(listener: &TcpListener) -> Result<OwnedFd> {
    let allowed: libc::c_int = 8;
    option(listener, libc::TCP_FASTOPEN, allowed).context("TCP_FASTOPEN")?;
    let near = tcp_socket()?;
    option(&near, libc::TCP_FASTOPEN_CONNECT, 1).context("TCP_FASTOPEN_CONNECT")?;
    let port = listener.local_addr()?.port();
    let far = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    connect(near.as_raw_fd(), &SockaddrIn::from(far)).context("connecting")?;
    Ok(near)
}

/// Sends a file, more than a socket usually holds. Nobody receives it.
fn send_over(near: &OwnedFd, bytes: usize) -> Result<()> {
    setsockopt(near, sockopt::SndBufForce, &(16 << 20))?;
    // SAFETY: the name is a string.
    let file = unsafe { libc::memfd_create(c"devices".as_ptr(), 0) };
    // SAFETY: it is a new descriptor, which nothing else has.
    let file = unsafe { OwnedFd::from_raw_fd(Errno::result(file)?) };
    let mut file = fs::File::from(file);
    // A hole would be cleared.
    file.write_all(&vec![7; bytes])?;
    file.rewind()?;
    let mut sent = 0;
    while sent < bytes {
        let some = sendfile(near, &file, None, bytes - sent)?;
        ensure!(some > 0, "sent {sent} bytes");
        sent += some;
    }
    Ok(())
}

/// What sends under the tracer: a process for each route. Says which process it was, or why there was none.
#[test]
#[ignore = "a part of the next test"]
fn programs() {
    if env::var_os(SENDS).is_none() {
        return;
    }
    let devices = ALL
        .iter()
        .map(|devices| -> Box<dyn Fn() -> Result<()>> { Box::new(|| send(devices)) });
    let ways = WAYS
        .iter()
        .map(|way| -> Box<dyn Fn() -> Result<()>> { Box::new(|| send_on(way)) });
    for (number, send) in devices.chain(ways).enumerate() {
        // SAFETY: the other threads of this process only wait, and hold no lock that the child takes.
        match unsafe { fork() }.expect("a process") {
            ForkResult::Child => {
                let end = match send() {
                    Ok(()) => 0,
                    Err(error) => {
                        let skipped = error.is::<Skip>();
                        println!("{}: {error:#}", if skipped { "SKIP" } else { "FAILED" });
                        if skipped { 2 } else { 1 }
                    }
                };
                // SAFETY: it returns to nobody.
                unsafe { libc::_exit(end) }
            }
            ForkResult::Parent { child } => {
                let status = waitpid(child, None).expect("a child");
                if status == WaitStatus::Exited(child, 0) {
                    println!("\nSENT {number} {child}");
                }
            }
        }
    }
}

/// Which routes were sent over, by which processes, and what the tracer saw.
fn traced() -> (Snapshot, Vec<(usize, u32)>) {
    shared::end();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("stat.json");
    let output = Command::new(zctrace())
        .args(["stat", "--json", "-o"])
        .arg(&file)
        .arg("--")
        .args(program_of(module_path!(), "programs"))
        .env(SENDS, "1")
        .env(BACKEND_VARIABLE, "tracepoints")
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{said}");
    assert!(!text.contains("FAILED"), "{text}");
    for line in text.lines().filter(|line| line.starts_with("SKIP")) {
        println!("{line}");
    }
    let sent = text.lines().filter_map(|line| {
        let mut words = line.strip_prefix("SENT ")?.split(' ');
        Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
    });
    let snapshot = fs::read_to_string(&file).expect("a document");
    let snapshot = serde_json::from_str(&snapshot).expect("a stat document");
    (snapshot, sent.collect())
}

#[test]
#[ignore = "needs root and BPF"]
fn pages_stay_only_where_every_device_of_the_route_leaves_them_alone() {
    let (snapshot, sent) = traced();
    assert_eq!(snapshot.backend, "tracepoints");
    let mut wrong = Vec::new();
    for (number, pid) in sent {
        let (name, may_copy, named) = match ALL.get(number) {
            Some(devices) => (devices.name, devices.may_copy, ""),
            None => {
                let way = &WAYS[number - ALL.len()];
                (way.name, way.named.is_some(), way.named.unwrap_or_default())
            }
        };
        let claim = Claim {
            name: name.to_owned(),
            max_copies_per_byte: Some(0.02),
            path: Some("sendfile".to_owned()),
            accept_inferred: true,
            ..claim()
        };
        let own = only(&snapshot, |process| process.pid == pid);
        let judgement = judge(&claim, &own, Circumstances::default());
        let mut reasons = judgement.reasons.iter();
        let verdict = judgement.verdict;
        let is_right = if may_copy {
            verdict == Verdict::Inconclusive
                && reasons.any(|r| r.code == "route-may-copy" && r.evidence.contains(named))
        } else {
            verdict == Verdict::Pass
        };
        if !is_right {
            let all: Vec<_> = judgement
                .reasons
                .iter()
                .map(|r| (&r.code, &r.evidence))
                .collect();
            wrong.push(format!("{name}: {} {all:?}", verdict.word()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
