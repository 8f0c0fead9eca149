//! Dependencies that a package declares and no file of it names.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::artifacts;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    rename: Option<String>,
}

/// Each as `PACKAGE: DEPENDENCY`.
pub(super) fn dependencies() -> Result<Vec<String>> {
    let metadata = artifacts::cargo()
        .args(["metadata", "--no-deps", "--locked", "--format-version=1"])
        .read()
        .context("cargo metadata fails")?;
    let metadata: Metadata = serde_json::from_str(&metadata)?;
    let mut unused = Vec::new();
    for package in &metadata.packages {
        let mut text = String::new();
        let directory = package
            .manifest_path
            .parent()
            .context("a manifest in no directory")?;
        read(directory, &mut text)?;
        for dependency in &package.dependencies {
            let name = dependency.rename.as_ref().unwrap_or(&dependency.name);
            if !names(&text, &name.replace('-', "_")) {
                unused.push(format!("{}: {name}", package.name));
            }
        }
    }
    Ok(unused)
}

/// Adds every Rust file in `directory` to `text`.
fn read(directory: &Path, text: &mut String) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            read(&path, text)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

/// Whether code names a crate: as a whole word, and not in a comment.
fn names(text: &str, name: &str) -> bool {
    let is_of_a_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split(|letter| !is_of_a_word(letter)))
        .any(|word| word == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_named_by_a_whole_word_of_code() {
        assert!(names("use aya_log::EbpfLogger;", "aya_log"));
        assert!(names("    aya_build::build()", "aya_build"));
        assert!(!names("use aya_log_ebpf::info;", "aya_log"));
        assert!(!names("    // aya_log is not used", "aya_log"));
    }
}
