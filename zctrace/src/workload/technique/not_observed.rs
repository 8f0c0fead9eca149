//! Techniques whose probes are still to come. Without them nothing could be held against their
//! truth, so they do not run.

use anyhow::Result;

use super::{super::Skip, Job, Ready, Setting, Technique, Variant};

fn not_observed(_: &Setting<'_>) -> Result<Ready> {
    Err(Skip("not yet observed".to_owned()).into())
}

macro_rules! techniques {
    ($($name:ident $text:literal $tag:literal $job:ident $summary:literal;)*) => {
        $(
            pub(super) const $name: Technique = Technique::new(
                $text,
                $summary,
                Job::$job,
                &[Variant::only($tag, not_observed)],
            );
        )*
    };
}

techniques! {
    AIO_READ "aio-read" "aio-r" ReadFile
        "read a file with Linux AIO";
    AIO_WRITE "aio-write" "aio-w" WriteFile
        "write a file with Linux AIO";
    URING_READ "uring-read" "ur-read" ReadFile
        "read a file with io_uring";
    URING_WRITE "uring-write" "ur-write" WriteFile
        "write a file with io_uring";
    URING_READ_FIXED "uring-read-fixed" "ur-fixed" ReadFile
        "read a file with io_uring into registered buffers";
    URING_DIRECT "uring-direct" "ur-direct" ReadFile
        "read a file with io_uring and O_DIRECT";
    URING_MMAP "uring-mmap" "ur-mmap" ReadFile
        "read a file with io_uring into mapped buffers";
    URING_SEND "uring-send" "ur-send" SendMemory
        "send memory with io_uring";
    URING_SEND_ZC "uring-send-zc" "ur-send-zc" SendMemory
        "send memory with io_uring's zero-copy send";
    URING_RECV_RING "uring-recv-ring" "ur-ring" Receive
        "receive with io_uring into a ring of buffers";
    URING_RECV_ZC "uring-recv-zc" "ur-recv-zc" Receive
        "receive with io_uring's zero-copy receive";
    URING_SPLICE "uring-splice" "ur-splice" Serve
        "splice a file to a TCP connection with io_uring";
    URING_SQPOLL "uring-sqpoll" "ur-sqpoll" ReadFile
        "read a file with io_uring polled by the kernel";
    KTLS_SENDFILE "ktls-sendfile" "ktls" Serve
        "send a file over kernel TLS with sendfile";
    AF_XDP "af-xdp" "af-xdp" Receive
        "receive frames with AF_XDP in copy mode";
}
