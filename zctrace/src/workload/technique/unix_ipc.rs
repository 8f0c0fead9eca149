//! Data goes from one process to another through a unix stream socket: copied in, copied out.

use super::{Job, Technique, Variant, fbufs::unix_pair, pipe_ipc::streamed};

pub(super) const TECHNIQUE: Technique = Technique::new(
    "unix-ipc",
    "pass data to another process through a unix socket",
    Job::Pass,
    &[Variant::only("unix-ipc", |setting| {
        let (near, far) = unix_pair()?;
        Ok(streamed(setting, "unix", near, far))
    })],
);
