//! What the binary is made of: a software bill of materials in CycloneDX's form.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{arch::Arch, job::Job, paths};

/// The program, and the BPF programs within it, which a build script of the first compiles.
const ROOTS: [&str; 2] = ["zctrace", "zctrace-ebpf"];

/// What `cargo metadata` says.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    /// `dev` or `build`; nothing for what is linked.
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
}

/// Writes the document into `dist`.
pub(super) fn write(arch: Arch, dist: &Path) -> Result<PathBuf> {
    let text = Job::new("cargo")
        .args(["metadata", "--format-version=1", "--locked"])
        .args(["--filter-platform", arch.target()])
        .current_dir(paths::root())
        .read()
        .context("cargo metadata")?;
    let lock = fs::read_to_string(paths::root().join("Cargo.lock"))?;
    let document = document(&serde_json::from_str(&text)?, &toml::from_str(&lock)?)?;
    let file = dist.join("zctrace.cdx.json");
    fs::write(&file, serde_json::to_string_pretty(&document)? + "\n")?;
    Ok(file)
}

fn document(metadata: &Metadata, lock: &Lock) -> Result<Value> {
    let edges: BTreeMap<&str, Vec<&str>> = metadata
        .resolve
        .nodes
        .iter()
        .map(|node| (node.id.as_str(), linked(node)))
        .collect();
    let packages: BTreeMap<&str, &Package> = metadata
        .packages
        .iter()
        .map(|package| (package.id.as_str(), package))
        .collect();
    let roots: Vec<&str> = ROOTS
        .iter()
        .map(|root| {
            let is_root = |package: &&Package| package.name == *root && package.source.is_none();
            let found = metadata.packages.iter().find(is_root);
            found.map(|package| package.id.as_str()).context(*root)
        })
        .collect::<Result<_>>()?;
    let mut within = BTreeSet::new();
    let mut next = roots.clone();
    while let Some(id) = next.pop() {
        if within.insert(id) {
            next.extend(&edges[id]);
        }
    }
    let checksums: BTreeMap<(&str, &str), &str> = lock
        .package
        .iter()
        .filter_map(|one| Some(((&*one.name, &*one.version), one.checksum.as_deref()?)))
        .collect();
    let component = |id: &str, kind: &str| {
        let package = packages[id];
        let mut component = json!({
            "type": kind,
            "bom-ref": purl(package),
            "name": package.name,
            "version": package.version,
            "purl": purl(package),
        });
        if let Some(license) = &package.license {
            // How it was written once.
            let expression = license.replace('/', " OR ");
            component["licenses"] = json!([{ "expression": expression }]);
        }
        if let Some(checksum) = checksums.get(&(&*package.name, &*package.version)) {
            component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
        }
        component
    };
    let depends = |id: &&str| {
        let mut on: BTreeSet<_> = edges[*id].iter().map(|id| purl(packages[id])).collect();
        if *id == roots[0] {
            on.extend(roots[1..].iter().map(|id| purl(packages[id])));
        }
        json!({ "ref": purl(packages[id]), "dependsOn": on })
    };
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": component(roots[0], "application") },
        "components": within
            .iter()
            .filter(|id| **id != roots[0])
            .map(|id| component(id, "library"))
            .collect::<Vec<_>>(),
        "dependencies": within.iter().map(depends).collect::<Vec<_>>(),
    }))
}

/// The packages that are linked with one.
fn linked(node: &Node) -> Vec<&str> {
    let is_linked = |of: &&Dependency| of.dep_kinds.iter().any(|one| one.kind.is_none());
    let linked = node.deps.iter().filter(is_linked);
    linked.map(|of| of.pkg.as_str()).collect()
}

fn purl(package: &Package) -> String {
    // Metadata of a build is in some versions.
    let version = package.version.replace('+', "%2B");
    format!("pkg:cargo/{}@{version}", package.name)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn all_that_is_linked_is_there_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let file = write(Arch::NATIVE, directory.path()).unwrap();
        let text = fs::read_to_string(file).unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        let components = document["components"].as_array().unwrap();
        let names: BTreeSet<_> = components
            .iter()
            .map(|component| component["name"].as_str().unwrap())
            .collect();
        for linked in ["aya", "aya-ebpf", "hyper", "ring", "zctrace-common"] {
            assert!(names.contains(linked), "{linked}: {names:?}");
        }
        for not in ["zctrace", "aya-build", "insta", "rcgen", "xtask"] {
            assert!(!names.contains(not), "{not}");
        }
        let mut known = HashSet::from([document["metadata"]["component"]["bom-ref"].clone()]);
        for component in components {
            assert!(component["licenses"].is_array(), "{component}");
            let is_ours = component["name"].as_str().unwrap().starts_with("zctrace");
            assert_eq!(component["hashes"].is_array(), !is_ours, "{component}");
            assert!(known.insert(component["bom-ref"].clone()), "{component}");
        }
        for one in document["dependencies"].as_array().unwrap() {
            assert!(known.contains(&one["ref"]), "{one}");
            let on = one["dependsOn"].as_array().unwrap();
            assert!(on.iter().all(|one| known.contains(one)), "{one}");
        }
    }
}
