//! The architectures that zctrace is built for, and what each is called elsewhere.

use std::{fmt, path::PathBuf};

use clap::ValueEnum;

use crate::paths;

/// An architecture, by Debian's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arch {
    /// x86-64.
    Amd64,
    /// 64-bit Arm.
    Arm64,
}

impl Arch {
    /// This machine's.
    pub(crate) const NATIVE: Self = if cfg!(target_arch = "aarch64") {
        Self::Arm64
    } else {
        Self::Amd64
    };

    pub(crate) fn is_native(self) -> bool {
        self == Self::NATIVE
    }

    /// Debian's name.
    pub(crate) const fn debian(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The name that starts those of GNU's tools.
    pub(crate) const fn gnu(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-linux-gnu",
            Self::Arm64 => "aarch64-linux-gnu",
        }
    }

    /// rustc's name of the target.
    pub(crate) const fn target(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// A program of GNU's binutils or compilers that knows this architecture.
    pub(crate) fn tool(self, name: &str) -> String {
        if self.is_native() {
            return name.to_owned();
        }
        format!("{}-{name}", self.gnu())
    }

    /// Where cargo puts what it builds for it. Another architecture's has a directory of its own, because
    /// another rustc builds it.
    pub(crate) fn target_directory(self) -> PathBuf {
        if self.is_native() {
            return paths::target();
        }
        paths::target().join(self.debian())
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.debian())
    }
}
