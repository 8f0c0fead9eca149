//! `--port`: the processes behind a listening socket, and those that serve its connections.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::PathBuf,
    thread,
    time::Duration,
};

use procfs::{
    ProcError,
    net::{TcpState, UdpState},
    process::Process,
};

use super::{
    Error, Unseen, View, holders::Holders, threads, unseen::may_inspect, view::namespace_inode,
};

/// How many other listening ports an error names.
const NEARBY: usize = 5;

/// How often to look for what nobody seems to hold: a socket may be on its way from one process to another.
const LOOKS: u32 = 3;
/// How long to wait in between.
const PAUSE: Duration = Duration::from_millis(5);

/// The process that starts all others.
const FIRST: u32 = 1;

/// A socket on a local port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LocalSocket {
    port: u16,
    inode: u64,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// TCP in state LISTEN, or UDP bound and not connected.
    Listening,
    /// UDP with a peer.
    ConnectedUdp,
    /// TCP with a peer.
    Connection,
    /// TCP that has begun to close. Its descriptor may be gone, and `close` still waits (`SO_LINGER`).
    Closing,
}

impl Kind {
    /// Whether somebody may come to this port.
    fn is_open(self) -> bool {
        matches!(self, Self::Listening | Self::ConnectedUdp)
    }
}

/// What was found of a port.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Processes, as ids of the view.
    pub processes: BTreeSet<u32>,
    pub unseen: Unseen,
}

/// Processes that hold a socket listening on `port`: TCP in state LISTEN, or UDP bound to it. So do those that hold a
/// connection of such a TCP port: a server may have a process for each
/// connection, which has closed the listening socket. So do workers of these processes ([`with_workers`]), to which a
/// server can hand each connection. Only zctrace's own network namespace is searched: a port number of
/// another one means something else.
pub(super) fn processes(view: &View, port: u16) -> Result<Found, Error> {
    let own = view.own_pid();
    let of_process = |source| Error::Procfs { pid: own, source };
    let process = view.process(own).map_err(of_process)?;
    let here = sockets(&process).map_err(of_process)?;
    let is_open = |socket: &LocalSocket| socket.port == port && socket.kind.is_open();
    if !here.iter().any(is_open) {
        let remedy = remedy(view, port, &here, &Holders::look(view));
        return Err(Error::NobodyListens { port, remedy });
    }
    let found = look(view, port);
    if found.processes.is_empty() {
        return Err(Error::UnknownListener {
            port,
            hidden: found.unseen.hidden.len(),
            may_inspect: may_inspect(),
        });
    }
    Ok(found)
}

/// Those of them that can be seen now, also where nobody listens any more.
pub(super) fn look(view: &View, port: u16) -> Found {
    let own = view.own_pid();
    let mut found = Found::default();
    for time in 0..LOOKS {
        // A socket is closed before its process ends, so the sockets come first.
        let read = view.process(own).and_then(|process| sockets(&process));
        let mut here = read.unwrap_or_default();
        here.retain(|socket| socket.port == port);
        let holders = Holders::look(view);
        let (holding, unheld) = sort(&here, &holders.by_socket);
        found.processes.extend(with_workers(view, holding));
        let mut unseen = Unseen {
            hidden: holders.hidden,
            unheld,
        };
        if may_inspect() {
            // Some machines shield their first process from everybody. It starts services, and serves none of their
            // connections: one that it held would be in `unheld`.
            unseen.hidden.remove(&FIRST);
        }
        if time == 0 {
            found.unseen = unseen;
        } else {
            found.unseen.keep(&unseen);
        }
        found.processes.remove(&own);
        found
            .unseen
            .hidden
            .retain(|pid| *pid != own && !found.processes.contains(pid));
        if found.unseen.is_empty() {
            break;
        }
        thread::sleep(PAUSE);
    }
    found
}

/// Who holds these sockets, and those that nobody holds.
fn sort(
    here: &[LocalSocket],
    holders: &BTreeMap<u64, BTreeSet<u32>>,
) -> (BTreeSet<u32>, BTreeSet<u64>) {
    let (mut holding, mut unheld) = (BTreeSet::new(), BTreeSet::new());
    for socket in here {
        match holders.get(&socket.inode) {
            Some(pids) => holding.extend(pids),
            None if socket.kind == Kind::Closing => {}
            None => {
                unheld.insert(socket.inode);
            }
        }
    }
    (holding, unheld)
}

/// These processes, and those that they or their like have started from the same executable.
fn with_workers(view: &View, mut found: BTreeSet<u32>) -> BTreeSet<u32> {
    let own = view.own_pid();
    // A manager of services listens for others, and starts more than workers.
    let is_manager = |pid| matches!(view.comm(pid).as_deref(), Some("systemd" | "init"));
    let managers: BTreeSet<u32> = found
        .iter()
        .copied()
        .filter(|pid| is_manager(*pid))
        .collect();
    let parents: Vec<_> = view
        .processes()
        .filter_map(|process| {
            let parent = process.stat().ok()?.ppid;
            Some((
                u32::try_from(process.pid).ok()?,
                u32::try_from(parent).ok()?,
            ))
        })
        .filter(|(pid, _)| *pid != own)
        .collect();
    loop {
        let before = found.len();
        for (pid, parent) in &parents {
            if found.contains(parent)
                && !managers.contains(parent)
                && !found.contains(pid)
                && let Some(of_parent) = executable(view, *parent)
                && executable(view, *pid) == Some(of_parent)
            {
                found.insert(*pid);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

/// What a process runs. Its first thread may have ended before the others, and has none then.
fn executable(view: &View, pid: u32) -> Option<PathBuf> {
    let of = |path: String| fs::read_link(view.root().join(path)).ok();
    of(format!("{pid}/exe")).or_else(|| {
        let threads = threads::of_process(view, pid);
        let mut links = threads
            .iter()
            .filter_map(|tid| of(format!("{pid}/task/{tid}/exe")));
        links.next()
    })
}

/// Sockets of a process's network namespace.
fn sockets(process: &Process) -> Result<Vec<LocalSocket>, ProcError> {
    let mut found = Vec::new();
    for table in [process.tcp(), process.tcp6()] {
        for entry in present(table)? {
            found.push(LocalSocket {
                port: entry.local_address.port(),
                inode: entry.inode,
                kind: match entry.state {
                    TcpState::Listen => Kind::Listening,
                    TcpState::Established | TcpState::CloseWait => Kind::Connection,
                    _ => Kind::Closing,
                },
            });
        }
    }
    for table in [process.udp(), process.udp6()] {
        for entry in present(table)? {
            found.push(LocalSocket {
                port: entry.local_address.port(),
                inode: entry.inode,
                kind: match entry.state {
                    UdpState::Close => Kind::Listening,
                    UdpState::Established => Kind::ConnectedUdp,
                },
            });
        }
    }
    // Inode 0 is that of a connection which nobody holds any more, or has accepted yet.
    found.retain(|socket| socket.inode != 0);
    Ok(found)
}

/// A table that is not there is empty: a kernel without IPv6 has no `tcp6`.
fn present<T>(table: Result<Vec<T>, ProcError>) -> Result<Vec<T>, ProcError> {
    match table {
        Err(ProcError::NotFound(_)) => Ok(Vec::new()),
        other => other,
    }
}

/// What to try instead of a port on which nobody listens.
fn remedy(view: &View, port: u16, here: &[LocalSocket], holders: &Holders) -> String {
    if let Some(pid) = listens_elsewhere(view, port) {
        let name = view.comm(pid).unwrap_or_default();
        return format!(
            "{name} listens there in another network namespace: -p {}",
            view.to_user(pid)
        );
    }
    let named: Vec<_> = nearby(port, here)
        .into_iter()
        .map(|listener| {
            let pid = holders.by_socket.get(&listener.inode);
            let pid = pid.and_then(BTreeSet::first);
            (listener.port, pid.and_then(|pid| view.comm(*pid)))
        })
        .collect();
    describe(&named)
}

/// Distinct ports in order of their distance from `port`.
fn nearby(port: u16, here: &[LocalSocket]) -> Vec<&LocalSocket> {
    let mut distinct: Vec<_> = here
        .iter()
        .filter(|socket| socket.kind == Kind::Listening)
        .map(|listener| (listener.port, listener))
        .collect::<BTreeMap<_, _>>()
        .into_values()
        .collect();
    distinct.sort_by_key(|listener| listener.port.abs_diff(port));
    distinct.truncate(NEARBY);
    distinct
}

fn describe(named: &[(u16, Option<String>)]) -> String {
    if named.is_empty() {
        return "no socket listens in this network namespace; start the server first".into();
    }
    let mut text = String::from("listening here:");
    for (index, (port, comm)) in named.iter().enumerate() {
        let separator = if index == 0 { "" } else { "," };
        let _ = write!(text, "{separator} {port}");
        if let Some(comm) = comm {
            let _ = write!(text, " ({comm})");
        }
    }
    text
}

/// The first process of another network namespace that listens on `port`.
fn listens_elsewhere(view: &View, port: u16) -> Option<u32> {
    let namespace = |pid: u32| {
        let link = fs::read_link(view.root().join(format!("{pid}/ns/net"))).ok()?;
        namespace_inode(link.to_str()?)
    };
    let mut seen = BTreeSet::from([namespace(view.own_pid())?]);
    view.processes().find_map(|process| {
        let pid = u32::try_from(process.pid).ok()?;
        seen.insert(namespace(pid)?).then_some(())?;
        let inodes: BTreeSet<_> = sockets(&process)
            .ok()?
            .into_iter()
            .filter(|socket| socket.port == port && socket.kind.is_open())
            .map(|socket| socket.inode)
            .collect();
        (!inodes.is_empty()).then_some(())?;
        let holders = Holders::look(view).by_socket;
        let holder = inodes.iter().find_map(|inode| holders.get(inode)?.first());
        Some(holder.copied().unwrap_or(pid))
    })
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader},
        net::{TcpListener, UdpSocket},
        os::unix::process::CommandExt as _,
        process::{Command, Stdio},
        thread,
        time::{Duration, Instant},
    };

    use nix::{
        sys::signal::{Signal, killpg},
        unistd::Pid,
    };
    use procfs::process::Stat;

    use super::*;

    /// The tests' own process is what zctrace leaves out, so the search is tested below it.
    fn held_here(is: impl Fn(&LocalSocket) -> bool) -> bool {
        let view = View::detect().unwrap();
        let process = view.process(view.own_pid()).unwrap();
        let mut here = sockets(&process).unwrap();
        here.retain(|socket| socket.kind.is_open() && is(socket));
        let (holding, _) = sort(&here, &Holders::look(&view).by_socket);
        holding.contains(&view.own_pid())
    }

    #[test]
    fn listeners_of_each_family_are_found() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else {
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            assert!(held_here(|l| l.port == port), "tcp {address}");
            let socket = UdpSocket::bind(address).unwrap();
            let port = socket.local_addr().unwrap().port();
            assert!(held_here(|l| l.port == port), "udp {address}");
            let peer = UdpSocket::bind(address).unwrap();
            socket.connect(peer.local_addr().unwrap()).unwrap();
            assert!(
                held_here(|l| l.port == port),
                "connected udp {address} keeps its port"
            );
        }
    }

    /// A shell with another shell, which both have a child of another program.
    #[test]
    fn workers_are_of_the_same_executable() {
        let script = r#"sh -c "sleep 60; true" & echo $!; sleep 60; true"#;
        let mut shell = Command::new("sh")
            .args(["-c", script])
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut worker = String::new();
        let stdout = shell.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut worker).unwrap();
        let view = View::detect().unwrap();
        let begun = BTreeSet::from([shell.id()]);
        let wanted = BTreeSet::from([shell.id(), worker.trim().parse().unwrap()]);
        let begin = Instant::now();
        let is_sleep =
            |stat: &Stat| stat.comm == "sleep" && wanted.contains(&stat.ppid.cast_unsigned());
        let sleeps = || {
            let all = view.processes().filter_map(|process| process.stat().ok());
            all.filter(is_sleep).count()
        };
        while sleeps() < 2 {
            assert!(begin.elapsed() < Duration::from_secs(60));
            thread::sleep(Duration::from_millis(10));
        }
        let found = with_workers(&view, begun);
        killpg(Pid::from_raw(shell.id().cast_signed()), Signal::SIGKILL).unwrap();
        shell.wait().unwrap();
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_connected_socket_does_not_listen() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let port = client.local_addr().unwrap().port();
        assert!(!held_here(|l| l.port == port));
    }

    #[test]
    fn what_nobody_holds_is_told_unless_it_closes() {
        let at = |inode, kind| LocalSocket {
            port: 80,
            inode,
            kind,
        };
        let here = [
            at(1, Kind::Listening),
            at(2, Kind::Listening),
            at(3, Kind::Connection),
            at(4, Kind::Closing),
            at(5, Kind::ConnectedUdp),
        ];
        let holders = BTreeMap::from([(1, BTreeSet::from([70, 71]))]);
        let (holding, unheld) = sort(&here, &holders);
        assert_eq!(holding, BTreeSet::from([70, 71]));
        assert_eq!(unheld, BTreeSet::from([2, 3, 5]));
    }

    #[test]
    fn what_listens_nearby_is_named() {
        let at = |port| LocalSocket {
            port,
            inode: 1,
            kind: Kind::Listening,
        };
        let here = [
            at(22),
            at(8080),
            at(8080),
            at(53),
            at(8443),
            at(80),
            at(3306),
            at(9000),
            LocalSocket {
                port: 8081,
                inode: 1,
                kind: Kind::ConnectedUdp,
            },
        ];
        let ports: Vec<_> = nearby(8081, &here).iter().map(|l| l.port).collect();
        assert_eq!(ports, [8080, 8443, 9000, 3306, 53 + 27]);
        assert_eq!(
            describe(&[(8080, Some("nginx".into())), (9000, None)]),
            "listening here: 8080 (nginx), 9000"
        );
        assert!(describe(&[]).contains("start the server"));
    }

    #[test]
    fn a_free_port_is_an_error_with_advice() {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let error = processes(&View::detect().unwrap(), port).unwrap_err();
        assert!(matches!(error, Error::NobodyListens { .. }), "{error}");
        assert!(!error.remedy().is_empty());
    }
}
