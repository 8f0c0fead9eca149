//! The package for Fedora, RHEL, openSUSE and their like.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rpm::{BuildConfig, CompressionType, FileOptions, PackageBuilder};

use super::{
    DESCRIPTION, SUMMARY,
    content::{self, Family, Kind},
    maintainer,
};
use crate::arch::Arch;

/// A service must not outlive its program.
const BEFORE_REMOVAL: &str = r#"if [ "$1" -eq 0 ] && [ -d /run/systemd/system ]; then
    systemctl --quiet disable --now zctrace.service || :
fi"#;

const RELOAD: &str = r"if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
fi";

/// After an upgrade, the service goes on with the new program, if it runs.
const AFTER_REMOVAL: &str = r#"if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
    if [ "$1" -ge 1 ]; then
        systemctl try-restart zctrace.service || :
    fi
fi"#;

/// Makes the package of what lies in `dist`.
pub(super) fn package(arch: Arch, dist: &Path, program: &Path, epoch: u32) -> Result<PathBuf> {
    let scratch = tempfile::tempdir()?;
    let machine = match arch {
        Arch::Amd64 => "x86_64",
        Arch::Arm64 => "aarch64",
    };
    let version = env!("CARGO_PKG_VERSION");
    let licence = "(MIT OR Apache-2.0) AND (MIT OR Apache-2.0 OR GPL-2.0-only)";
    let mut package = PackageBuilder::new("zctrace", version, licence, machine, SUMMARY);
    package
        // The older format: the newer one is for rpm 6 alone.
        .using_config(
            BuildConfig::v4()
                .compression(CompressionType::Gzip)
                .source_date(epoch),
        )
        .release("1")
        .description(DESCRIPTION)
        .packager(maintainer())
        .group("Development/Tools")
        .build_host("localhost")
        .add_changelog_entry(
            format!("{} - {version}-1", maintainer()),
            "- See CHANGELOG.md.",
            epoch,
        );
    for entry in content::of(Family::Rpm, dist, program, scratch.path())? {
        let options = FileOptions::new(format!("/{}", entry.to)).permissions(entry.mode);
        let options = match entry.kind {
            Kind::Plain => options,
            Kind::Documentation => options.doc(),
            Kind::Licence => options.license(),
        };
        package.with_file(&entry.from, options)?;
    }
    for directory in [
        "doc/zctrace",
        "doc/zctrace/examples",
        "licenses/zctrace",
        "zctrace",
    ] {
        let directory = format!("/usr/share/{directory}");
        package.with_dir_entry(FileOptions::dir(directory).permissions(0o755))?;
    }
    package
        .post_install_script(RELOAD)
        .pre_uninstall_script(BEFORE_REMOVAL)
        .post_uninstall_script(AFTER_REMOVAL);
    let file = dist.join(format!("zctrace-{version}-1.{machine}.rpm"));
    package.build()?.write_file(&file)?;
    Ok(file)
}
