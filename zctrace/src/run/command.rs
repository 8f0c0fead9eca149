//! A command that waits before its `exec` until everything is attached.

use std::{
    collections::BTreeMap,
    ffi::{CString, OsStr, OsString},
    fs, io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd, RawFd},
        unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::OFlag,
    sys::{
        signal::{SigHandler, SigSet, SigmaskHow, Signal, kill, pthread_sigmask, signal},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{ForkResult, Pid, fork, pipe2, read, write},
};

use super::{
    account::Account,
    channel::{Channel, REGION_FD},
    pidfd,
};
use crate::ledger::ExitStatus;

/// Why a command cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such program.
    #[error("{}: command not found", name.display())]
    NotFound {
        /// As the user gave it.
        name: PathBuf,
    },
    /// The kernel refuses to run it.
    #[error("{}: cannot be run: {source}", name.display())]
    NotExecutable {
        /// As the user gave it.
        name: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An argument that the kernel cannot take.
    #[error("a command's arguments cannot contain a NUL byte")]
    Nul,
    /// No process could be made for it.
    #[error("cannot start a process: {0}")]
    Fork(io::Error),
}

impl Error {
    /// The status with which shells report the same.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotFound { .. } => 127,
            Self::NotExecutable { .. } | Self::Nul => 126,
            Self::Fork(_) => 3,
        }
    }

    /// What the user can do about it, in one line.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::NotFound { name } => match name.to_str().map(str::parse::<u32>) {
                Some(Ok(pid)) => format!("to trace the process with this id: -p {pid}"),
                _ if name.components().count() > 1 => "check the path".into(),
                _ => "check the name and PATH (sudo sets its own)".into(),
            },
            Self::NotExecutable { name, .. } if name.is_dir() => "it is a directory".into(),
            Self::NotExecutable { .. } => "check its permissions and format".into(),
            Self::Nul => "remove it".into(),
            Self::Fork(_) => "check the limits on processes and memory (ulimit -a)".into(),
        }
    }
}

/// A process that will become the command.
#[derive(Debug)]
pub struct Prepared {
    name: PathBuf,
    pid: Pid,
    go: OwnedFd,
    failure: OwnedFd,
    released: bool,
}

/// The command.
#[derive(Debug)]
pub struct Running {
    pid: Pid,
    end: OwnedFd,
}

impl Prepared {
    /// Makes a process that waits to become the command `words`, its program first. It has the
    /// signal mask `mask` from its start, belongs to `user` if one is given, and can mark its regions on `channel`.
    ///
    /// The caller must have one thread only, or none that holds a lock at this time.
    ///
    /// # Errors
    ///
    /// When there is no such program or no process can be made.
    pub fn new(
        words: &[OsString],
        mask: &SigSet,
        user: Option<&Account>,
        channel: Option<&Channel>,
    ) -> Result<Self, Error> {
        let name = words.first().map(PathBuf::from).unwrap_or_default();
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
        let program = locate(&name, &path)?;
        let system = |errno: Errno| Error::Fork(errno.into());
        let (wait, go) = pipe2(OFlag::O_CLOEXEC).map_err(system)?;
        let (failure, failed) = pipe2(OFlag::O_CLOEXEC).map_err(system)?;
        // Every descriptor is there that the child needs until it becomes the command.
        let channel = channel.map(|channel| {
            let taken = [channel.descriptor(), wait.as_raw_fd(), failed.as_raw_fd()];
            (channel.descriptor(), Channel::number(&taken))
        });
        let image = Image::new(&program, words, user, channel)?;
        let argv = pointers(&image.arguments);
        let shell_argv = pointers(&image.shell_arguments);
        let variables = pointers(&image.variables);
        // SAFETY: until `exec` the child calls only functions that are safe after `fork` and
        // touches no memory but its stack.
        match unsafe { fork() }.map_err(system)? {
            ForkResult::Parent { child } => Ok(Self {
                name,
                pid: child,
                go,
                failure,
                released: false,
            }),
            ForkResult::Child => {
                // The write end must not outlive zctrace in its own child.
                let _ = nix::unistd::close(go.as_raw_fd());
                become_command(
                    &wait,
                    &failed,
                    &image,
                    [&argv, &shell_argv, &variables],
                    mask,
                )
            }
        }
    }

    /// Its process id in zctrace's own PID namespace.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().cast_unsigned()
    }

    /// Lets it become the command.
    ///
    /// # Errors
    ///
    /// When the kernel refuses; the process is gone then.
    pub fn release(mut self) -> Result<Running, Error> {
        self.released = true;
        let end = pidfd::open(self.pid()).map_err(Error::Fork)?;
        let sent = retry(|| write(&self.go, &[1]));
        sent.map_err(|errno| Error::Fork(errno.into()))?;
        // `exec` closes the other end: nothing to read is success.
        let mut code = [0; 4];
        match retry(|| read(&self.failure, &mut code)) {
            Ok(4) => {
                let _ = waitpid(self.pid, None);
                let source = io::Error::from_raw_os_error(i32::from_ne_bytes(code));
                let name = self.name.clone();
                Err(match source.kind() {
                    io::ErrorKind::NotFound => Error::NotFound { name },
                    _ => Error::NotExecutable { name, source },
                })
            }
            _ => Ok(Running { pid: self.pid, end }),
        }
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if !self.released {
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = waitpid(self.pid, None);
        }
    }
}

impl Running {
    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        // It may have ended in the meantime.
        let _ = kill(self.pid, signal);
    }

    /// How it ended; `None` while it runs.
    #[must_use]
    pub fn try_wait(&self) -> Option<ExitStatus> {
        match waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, code)) => Some(ExitStatus {
                code: Some(code),
                signal: None,
            }),
            Ok(WaitStatus::Signaled(_, signal, _)) => Some(ExitStatus {
                code: None,
                signal: Some(signal as i32),
            }),
            _ => None,
        }
    }
}

impl AsFd for Running {
    /// Readable when it has ended.
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.end.as_fd()
    }
}

/// What `execve` takes, made before the fork.
struct Image {
    program: CString,
    arguments: Vec<CString>,
    /// The same for a script without `#!`, which POSIX has the shell run.
    shell_arguments: Vec<CString>,
    /// The environment.
    variables: Vec<CString>,
    /// User, group and other groups; `None` for those of zctrace.
    user: Option<(libc::uid_t, libc::gid_t, Vec<libc::gid_t>)>,
    /// A descriptor that the command has, and the number under which it does.
    channel: Option<(RawFd, RawFd)>,
}

impl Image {
    fn new(
        program: &Path,
        words: &[OsString],
        user: Option<&Account>,
        channel: Option<(RawFd, RawFd)>,
    ) -> Result<Self, Error> {
        let string = |word: &OsStr| CString::new(word.as_bytes()).map_err(|_| Error::Nul);
        let program = string(program.as_os_str())?;
        let arguments: Vec<_> = words
            .iter()
            .map(|word| string(word))
            .collect::<Result<_, _>>()?;
        let mut shell_arguments = vec![c"sh".into(), program.clone()];
        shell_arguments.extend(arguments.iter().skip(1).cloned());
        let mut variables: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        for (name, value) in user.into_iter().flat_map(Account::variables) {
            variables.insert(name.into(), value.to_owned());
        }
        if let Some((_, number)) = channel {
            variables.insert(REGION_FD.into(), number.to_string().into());
        }
        let variables = variables.into_iter().map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            string(&name)
        });
        Ok(Self {
            program,
            arguments,
            shell_arguments,
            variables: variables.collect::<Result<_, _>>()?,
            user: user.map(|user| (user.uid, user.gid, user.groups.clone())),
            channel,
        })
    }
}

/// The child: waits for the word, then runs the command.
fn become_command(
    wait: &OwnedFd,
    failed: &OwnedFd,
    image: &Image,
    [argv, shell_argv, variables]: [&[*const libc::c_char]; 3],
    mask: &SigSet,
) -> ! {
    // Rust ignores SIGPIPE; a command expects the default.
    // SAFETY: SIG_DFL runs no handler.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
    let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(mask), None);
    // `poll`, because a `read` here would be an operation of the traced command.
    let mut fds = libc::pollfd {
        fd: wait.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one valid pollfd.
    while unsafe { libc::poll(&raw mut fds, 1, -1) } < 0 && Errno::last() == Errno::EINTR {}
    if fds.revents & libc::POLLIN == 0 {
        // zctrace has ended without a word.
        // SAFETY: ends the process without running anything of its parent's.
        unsafe { libc::_exit(127) };
    }
    // SAFETY: NUL-terminated strings in NULL-terminated arrays, and as many groups as there are. The raw
    // calls change this thread, which is the only one.
    unsafe {
        if let Some((user, group, groups)) = &image.user
            && (libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) != 0
                || libc::syscall(libc::SYS_setresgid, *group, *group, *group) != 0
                || libc::syscall(libc::SYS_setresuid, *user, *user, *user) != 0)
        {
            give_up(failed);
        }
        if let Some((descriptor, number)) = image.channel
            && libc::dup2(descriptor, number) < 0
        {
            give_up(failed);
        }
        libc::execve(image.program.as_ptr(), argv.as_ptr(), variables.as_ptr());
        if Errno::last() == Errno::ENOEXEC {
            libc::execve(c"/bin/sh".as_ptr(), shell_argv.as_ptr(), variables.as_ptr());
        }
        give_up(failed)
    }
}

/// Tells zctrace why, and ends.
///
/// # Safety
/// Called in the child of a fork, after a call that failed.
unsafe fn give_up(failed: &OwnedFd) -> ! {
    let code = Errno::last_raw().to_ne_bytes();
    // SAFETY: four bytes, and the end of the process without running anything of its parent's.
    unsafe {
        libc::write(failed.as_raw_fd(), code.as_ptr().cast(), code.len());
        libc::_exit(127)
    }
}

fn pointers(words: &[CString]) -> Vec<*const libc::c_char> {
    words
        .iter()
        .map(|word| word.as_ptr())
        .chain([std::ptr::null()])
        .collect()
}

/// The program that a shell would run.
fn locate(name: &Path, path: &OsStr) -> Result<PathBuf, Error> {
    let is_path = name.as_os_str().as_bytes().contains(&b'/');
    let candidates: Vec<_> = if is_path {
        vec![name.to_owned()]
    } else {
        std::env::split_paths(path)
            .filter(|_| !name.as_os_str().is_empty())
            .map(|directory| directory.join(name))
            // A directory that may not be searched holds nothing for this user.
            .filter(|candidate| candidate.exists())
            .collect()
    };
    let mut refused = None;
    for candidate in candidates {
        match executable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                refused.get_or_insert(error);
            }
            Err(_) => {}
        }
    }
    let name = name.to_owned();
    Err(match refused {
        Some(source) => Error::NotExecutable { name, source },
        None => Error::NotFound { name },
    })
}

fn executable(candidate: &Path) -> io::Result<()> {
    let metadata = fs::metadata(candidate)?;
    let refused = || io::Error::from(io::ErrorKind::PermissionDenied);
    if !metadata.is_file() {
        return Err(refused());
    }
    nix::unistd::access(candidate, nix::unistd::AccessFlags::X_OK)?;
    // Root may access anything, but runs only what somebody may run.
    if metadata.permissions().mode() & 0o111 == 0 {
        return Err(refused());
    }
    Ok(())
}

fn retry<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    fn finish(running: &Running) -> ExitStatus {
        loop {
            if let Some(status) = running.try_wait() {
                return status;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn run(command: &[&str]) -> Result<ExitStatus, Error> {
        let prepared = Prepared::new(&words(command), &SigSet::empty(), None, None)?;
        Ok(finish(&prepared.release()?))
    }

    fn exit(code: i32) -> ExitStatus {
        ExitStatus {
            code: Some(code),
            signal: None,
        }
    }

    #[test]
    fn a_command_passes_its_status_on() {
        assert_eq!(run(&["true"]).unwrap(), exit(0));
        assert_eq!(run(&["sh", "-c", "exit 7"]).unwrap(), exit(7));
        let killed = run(&["sh", "-c", "kill -9 $$"]).unwrap();
        assert_eq!((killed.code, killed.signal), (None, Some(9)));
        // With SIGPIPE ignored, `yes` would complain and exit 1.
        assert_eq!(
            run(&[
                "bash",
                "-c",
                "yes | head -1 >/dev/null; exit ${PIPESTATUS[0]}"
            ])
            .unwrap(),
            exit(141)
        );
    }

    #[test]
    fn nothing_runs_before_its_release() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ran");
        let touch = ["touch", file.to_str().unwrap()];
        let prepared = Prepared::new(&words(&touch), &SigSet::empty(), None, None).unwrap();
        thread::sleep(Duration::from_millis(50));
        assert!(!file.exists());
        let pid = prepared.pid();
        drop(prepared);
        assert!(!file.exists());
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
        run(&touch).unwrap();
        assert!(file.exists());
    }

    #[test]
    fn nothing_runs_when_zctrace_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ran");
        let touch = words(&["touch", file.to_str().unwrap()]);
        let mut prepared = Prepared::new(&touch, &SigSet::empty(), None, None).unwrap();
        // As if killed: the pipe closes, and nobody ends the child.
        prepared.released = true;
        let pid = prepared.pid;
        drop(prepared);
        assert_eq!(waitpid(pid, None), Ok(WaitStatus::Exited(pid, 127)));
        assert!(!file.exists());
    }

    #[test]
    fn what_cannot_run_says_why() {
        let code = |command: &[&str]| run(command).unwrap_err().exit_code();
        assert_eq!(code(&["no-such-command-here"]), 127);
        assert_eq!(code(&["./no/such/path"]), 127);
        assert_eq!(code(&[""]), 127);
        assert_eq!(code(&["/etc/passwd"]), 126);
        assert_eq!(code(&["/"]), 126);
        assert_eq!(code(&["true", "a\0b"]), 126);
        let error = run(&["1234"]).unwrap_err();
        assert!(error.remedy().contains("-p 1234"));
    }

    #[test]
    fn a_missing_interpreter_is_found_out_at_exec() {
        let directory = tempfile::tempdir().unwrap();
        let script = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let lost = script("lost", "#!/no/such/interpreter\n");
        assert_eq!(run(&[&lost]).unwrap_err().exit_code(), 127);
        let plain = script("plain", "exit 5\n");
        assert_eq!(run(&[&plain]).unwrap(), exit(5));
    }
}
