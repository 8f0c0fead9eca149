//! Loading the BPF objects that traffic needs (`zctrace-ebpf/src/traffic/`).

use std::{error::Error, io};

use anyhow::Result;
use aya::{Ebpf, EbpfLoader};
use nix::libc;

use crate::workload::Skip;

/// Loads an object.
pub(in crate::workload) fn load(object: &[u8]) -> Result<Ebpf> {
    if object.is_empty() {
        return Err(Skip("this build has no BPF programs".to_owned()).into());
    }
    EbpfLoader::new().btf(None).load(object).map_err(refused)
}

/// An error, or the reason to skip the traffic if the kernel takes no such program or map.
pub(in crate::workload) fn refused(error: impl Error + Send + Sync + 'static) -> anyhow::Error {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        let code = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::raw_os_error);
        if let Some(libc::EPERM | libc::EINVAL | libc::EOPNOTSUPP) = code {
            return Skip(format!("this kernel takes no such BPF program: {error}")).into();
        }
        cause = error.source();
    }
    error.into()
}
