//! `--port`: the processes behind a listening socket, and those that serve its connections.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs, io,
    path::Path,
};

use procfs::{
    ProcError,
    net::{TcpState, UdpState},
    process::{FDTarget, Process},
};

use super::{Error, View, view::namespace_inode};

/// How many other listening ports an error names.
const NEARBY: usize = 5;

/// A socket on a local port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LocalSocket {
    port: u16,
    inode: u64,
}

/// Processes, as ids of `view`, that hold a socket listening on `port`: TCP in state LISTEN, or UDP
/// bound and not connected. So do those that hold a connection of such a TCP port: a server may have a process for each
/// connection, which has closed the listening socket. So do workers of these processes ([`with_workers`]), to which a
/// server can hand each connection. Only zctrace's own network namespace is searched: a port number of
/// another one means something else.
pub(super) fn processes(view: &View, port: u16) -> Result<BTreeSet<u32>, Error> {
    let own = view.own_pid();
    let of_process = |source| Error::Procfs { pid: own, source };
    let process = view.process(own).map_err(of_process)?;
    let here = listeners(&process).map_err(of_process)?;
    let (holders, hidden) = holders(view);
    if of_port(&here, port).next().is_none() {
        let remedy = remedy(view, port, &here, &holders);
        return Err(Error::NobodyListens { port, remedy });
    }
    let connections = connections(&process).map_err(of_process)?;
    let sockets = of_port(&here, port).chain(of_port(&connections, port));
    let found = holding(&holders, sockets, own);
    if found.is_empty() {
        return Err(Error::UnknownListener { port, hidden });
    }
    Ok(with_workers(view, found))
}

/// Those of them that can be seen now, also where nobody listens any more.
pub(super) fn present_processes(view: &View, port: u16) -> BTreeSet<u32> {
    let own = view.own_pid();
    let Ok(process) = view.process(own) else {
        return BTreeSet::new();
    };
    let mut sockets = listeners(&process).unwrap_or_default();
    sockets.extend(connections(&process).unwrap_or_default());
    with_workers(
        view,
        holding(&holders(view).0, of_port(&sockets, port), own),
    )
}

/// These processes, and those that they or their like have started from the same executable.
fn with_workers(view: &View, mut found: BTreeSet<u32>) -> BTreeSet<u32> {
    let executable = |pid: u32| fs::read_link(view.root().join(format!("{pid}/exe"))).ok();
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
                && let Some(of_parent) = executable(*parent)
                && executable(*pid) == Some(of_parent)
            {
                found.insert(*pid);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

fn of_port(sockets: &[LocalSocket], port: u16) -> impl Iterator<Item = u64> {
    let held = sockets.iter().filter(move |socket| socket.port == port);
    held.map(|socket| socket.inode)
}

fn holding(
    holders: &BTreeMap<u64, BTreeSet<u32>>,
    sockets: impl Iterator<Item = u64>,
    own: u32,
) -> BTreeSet<u32> {
    let held = sockets.filter_map(|inode| holders.get(&inode));
    held.flatten().copied().filter(|pid| *pid != own).collect()
}

/// Listening sockets of a process's network namespace.
fn listeners(process: &Process) -> Result<Vec<LocalSocket>, ProcError> {
    let mut found = Vec::new();
    for table in [process.tcp(), process.tcp6()] {
        for entry in present(table)? {
            if entry.state == TcpState::Listen {
                let (port, inode) = (entry.local_address.port(), entry.inode);
                found.push(LocalSocket { port, inode });
            }
        }
    }
    for table in [process.udp(), process.udp6()] {
        for entry in present(table)? {
            if entry.state == UdpState::Close {
                let (port, inode) = (entry.local_address.port(), entry.inode);
                found.push(LocalSocket { port, inode });
            }
        }
    }
    Ok(found)
}

/// Connected TCP sockets of a process's network namespace, by their local port.
fn connections(process: &Process) -> Result<Vec<LocalSocket>, ProcError> {
    let mut found = Vec::new();
    for table in [process.tcp(), process.tcp6()] {
        // Inode 0 is that of a connection which nobody holds any more.
        let connected = present(table)?
            .into_iter()
            .filter(|entry| entry.state != TcpState::Listen && entry.inode != 0);
        found.extend(connected.map(|entry| LocalSocket {
            port: entry.local_address.port(),
            inode: entry.inode,
        }));
    }
    Ok(found)
}

/// A table that is not there is empty: a kernel without IPv6 has no `tcp6`.
fn present<T>(table: Result<Vec<T>, ProcError>) -> Result<Vec<T>, ProcError> {
    match table {
        Err(ProcError::NotFound(_)) => Ok(Vec::new()),
        other => other,
    }
}

/// Socket inodes and the processes that hold them, and how many processes could not be seen.
fn holders(view: &View) -> (BTreeMap<u64, BTreeSet<u32>>, usize) {
    let mut holders = BTreeMap::<_, BTreeSet<_>>::new();
    let mut hidden = 0;
    for process in view.processes() {
        let Ok(pid) = u32::try_from(process.pid) else {
            continue;
        };
        match sockets(&view.root().join(format!("{pid}/fd"))) {
            Ok(inodes) => {
                for inode in inodes {
                    holders.entry(inode).or_default().insert(pid);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => hidden += 1,
            // It has ended.
            Err(_) => {}
        }
    }
    (holders, hidden)
}

/// Inodes of the sockets in a directory of open files. `procfs` has an iterator for them, but it
/// passes over what may not be read without a word.
fn sockets(directory: &Path) -> io::Result<Vec<u64>> {
    let mut inodes = Vec::new();
    for entry in fs::read_dir(directory)? {
        let link = match fs::read_link(entry?.path()) {
            Ok(link) => link,
            // Closed in the meantime.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let target = link.to_str().map(str::parse::<FDTarget>);
        if let Some(Ok(FDTarget::Socket(inode))) = target {
            inodes.push(inode);
        }
    }
    Ok(inodes)
}

/// What to try instead of a port on which nobody listens.
fn remedy(
    view: &View,
    port: u16,
    here: &[LocalSocket],
    holders: &BTreeMap<u64, BTreeSet<u32>>,
) -> String {
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
            let pid = holders.get(&listener.inode).and_then(BTreeSet::first);
            (listener.port, pid.and_then(|pid| view.comm(*pid)))
        })
        .collect();
    describe(&named)
}

/// Distinct ports in order of their distance from `port`.
fn nearby(port: u16, here: &[LocalSocket]) -> Vec<&LocalSocket> {
    let mut distinct: Vec<_> = here
        .iter()
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
        let inodes: BTreeSet<_> = listeners(&process)
            .ok()?
            .into_iter()
            .filter(|listener| listener.port == port)
            .map(|listener| listener.inode)
            .collect();
        (!inodes.is_empty()).then_some(())?;
        let (holders, _) = holders(view);
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
    fn held_here(inodes: impl Fn(&LocalSocket) -> bool) -> bool {
        let view = View::detect().unwrap();
        let process = view.process(view.own_pid()).unwrap();
        let (holders, _) = holders(&view);
        listeners(&process)
            .unwrap()
            .iter()
            .filter(|listener| inodes(listener))
            .any(|listener| {
                holders
                    .get(&listener.inode)
                    .is_some_and(|pids| pids.contains(&view.own_pid()))
            })
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
    fn what_listens_nearby_is_named() {
        let at = |port| LocalSocket { port, inode: 0 };
        let here = [
            at(22),
            at(8080),
            at(8080),
            at(53),
            at(8443),
            at(80),
            at(3306),
            at(9000),
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
