//! Names of system calls that can show up in a report.

use std::borrow::Cow;

macro_rules! names {
    ($($name:ident)+) => {
        &[$((stringify!($name), libc::$name)),+]
    };
}

const NAMES: &[(&str, libc::c_long)] = names!(
        SYS_accept SYS_accept4 SYS_acct SYS_add_key SYS_bind SYS_bpf SYS_capget SYS_chdir
        SYS_clock_gettime SYS_clock_nanosleep SYS_clone SYS_clone3 SYS_close SYS_close_range
        SYS_connect SYS_delete_module SYS_dup SYS_epoll_ctl SYS_epoll_pwait SYS_execve
        SYS_execveat SYS_exit SYS_exit_group SYS_fadvise64 SYS_fallocate SYS_fchdir SYS_fchmod SYS_fchmodat
        SYS_fchown SYS_fchownat SYS_fcntl SYS_fdatasync SYS_fgetxattr SYS_finit_module
        SYS_flistxattr SYS_flock SYS_fremovexattr SYS_fsetxattr SYS_fstat SYS_fstatfs SYS_fsync
        SYS_ftruncate SYS_futex SYS_getcwd SYS_getdents64 SYS_getgroups SYS_getpeername
        SYS_getrandom SYS_getresgid SYS_getresuid SYS_getrusage SYS_getsockname SYS_getsockopt
        SYS_getxattr SYS_init_module SYS_io_destroy SYS_io_setup SYS_io_uring_enter SYS_io_uring_register SYS_ioctl SYS_kexec_file_load
        SYS_kexec_load SYS_keyctl SYS_kill SYS_lgetxattr SYS_linkat SYS_listxattr
        SYS_lremovexattr SYS_lsetxattr SYS_madvise SYS_mkdirat SYS_mknodat SYS_mlock SYS_mlockall SYS_mmap SYS_mount
        SYS_move_pages SYS_mq_open SYS_mq_timedreceive SYS_mq_timedsend SYS_mremap SYS_msgctl
        SYS_msgget SYS_msgrcv SYS_msgsnd SYS_msync SYS_munmap SYS_nanosleep SYS_newfstatat
        SYS_open_by_handle_at SYS_openat SYS_openat2 SYS_perf_event_open SYS_pidfd_open
        SYS_pipe2 SYS_ppoll SYS_prctl SYS_prlimit64 SYS_process_madvise SYS_pselect6 SYS_ptrace
        SYS_quotactl SYS_readahead SYS_readlinkat SYS_removexattr SYS_renameat SYS_renameat2 SYS_request_key
        SYS_rseq SYS_rt_sigaction SYS_rt_sigpending SYS_rt_sigprocmask SYS_rt_sigreturn
        SYS_rt_sigsuspend SYS_rt_sigtimedwait SYS_sched_getaffinity SYS_sched_setaffinity
        SYS_set_robust_list SYS_setsockopt SYS_setxattr SYS_shmat SYS_shmctl SYS_shutdown
        SYS_sigaltstack SYS_socket SYS_socketpair SYS_statfs SYS_statx SYS_swapon SYS_symlinkat
        SYS_sync SYS_sync_file_range SYS_syncfs SYS_sysinfo SYS_tgkill SYS_timer_create
        SYS_timer_gettime SYS_timer_settime SYS_timerfd_gettime SYS_timerfd_settime SYS_times
        SYS_tkill SYS_truncate SYS_umount2 SYS_uname SYS_unlinkat SYS_unshare SYS_userfaultfd
        SYS_utimensat SYS_wait4 SYS_waitid
);

/// Calls that only old architectures have.
#[cfg(target_arch = "x86_64")]
const OLD_NAMES: &[(&str, libc::c_long)] = names!(
        SYS_chmod SYS_chown SYS_creat SYS_epoll_wait SYS_fork SYS_futimesat SYS_getdents
        SYS_lchown SYS_link SYS_mkdir SYS_open SYS_poll SYS_readlink SYS_rename SYS_rmdir
        SYS_select SYS_stat SYS_symlink SYS_unlink SYS_utime SYS_utimes SYS_vfork
);
#[cfg(not(target_arch = "x86_64"))]
const OLD_NAMES: &[(&str, libc::c_long)] = &[];

/// The name of a call, or its number.
pub fn name(nr: i32) -> Cow<'static, str> {
    let nr = libc::c_long::from(nr);
    let known = NAMES
        .iter()
        .chain(OLD_NAMES)
        .find(|(_, number)| *number == nr);
    match known {
        Some((name, _)) => Cow::Borrowed(name.trim_start_matches("SYS_")),
        None => Cow::Owned(nr.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_a_name_or_a_number() {
        let ioctl = i32::try_from(libc::SYS_ioctl).expect("a number");
        assert_eq!(name(ioctl), "ioctl");
        // Which rows tell of copies in a call is decided by its name (`not_followed.rs`).
        let ring = i32::try_from(libc::SYS_io_uring_enter).expect("a number");
        assert_eq!(name(ring), "io_uring_enter");
        assert_eq!(name(509), "509");
    }
}
