//! `zctrace serve`: metrics for Prometheus and OpenTelemetry.

use std::{
    cell::OnceCell,
    os::fd::RawFd,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use clap::Args;
use zctrace_common::By;

use super::{
    args::{duration, failure::Failure, least, ready_fd, target::TargetArgs},
    check::policy,
};
use crate::{
    claims::Claim,
    kernel::privileges::Keep,
    run::{self, Plan},
    serve::{Access, Address, Pusher, Series, Server, Tls},
    text::message::say,
};

const EXAMPLES: &str = "\
Examples:
  zctrace serve                                        the whole machine, on 127.0.0.1:9464
  zctrace serve --cgroup system.slice/nginx.service --listen 0.0.0.0:9464
  zctrace serve --otlp http://127.0.0.1:4318           push to an OpenTelemetry collector too
  zctrace serve --comm nginx --policy copies.toml      verdicts as metrics

/metrics is OpenMetrics text, /readyz answers 200 after the first reading, /healthz while readings
come. Once everything is attached, zctrace gives up all its capabilities.";

/// Arguments of `serve`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
// It is refused, with what to use instead.
#[command(mut_arg("command", |command| command.hide(true)))]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// Address and port to answer on, or unix:PATH; choose who can reach it
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9464")]
    listen: Address,

    /// Accept another name of this machine from clients. IP addresses, localhost and the machine's own name are
    /// accepted; * accepts any
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,

    /// Require the bearer token in this file for the metrics
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Speak TLS with the certificate in this file (PEM, with those between it and the authority). It is read once
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The certificate's private key (PEM, without a passphrase)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Also push to the OpenTelemetry collector at this URL (OTLP over HTTP, JSON, no TLS)
    #[arg(long, value_name = "URL")]
    otlp: Option<String>,

    /// Judge the claims of this policy (TOML, as for `zctrace check`) at every reading, and export the verdicts
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// How often the kernel's counters are read
    #[arg(long, value_name = "TIME", default_value = "5s", allow_hyphen_values = true,
          value_parser = duration::interval)]
    interval: Duration,

    /// How many data paths (command, operation, object, evidence) get series of their own, at most 16 each; the others
    /// share one
    #[arg(long, value_name = "COUNT", default_value_t = 500,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    max_paths: u32,

    /// With `container`, the series of each container are apart: labels container_id, container, pod and namespace
    #[arg(long, value_name = "WHAT", value_parser = ["container"], hide_possible_values = true)]
    by: Option<String>,

    /// Leave the page fault probes out: no mapped files, no copy-on-write, less overhead
    #[arg(long)]
    no_faults: bool,

    /// Write a line to this file descriptor when every probe is attached
    #[arg(long, value_name = "FD", value_parser = clap::value_parser!(RawFd).range(0..))]
    ready_fd: Option<RawFd>,
}

/// Checks the URL of a collector here, and not while the arguments are read: those errors repeat the value, which may
/// have a password.
fn check_url(url: &str) -> Result<(), Failure> {
    match url.strip_prefix("http://") {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') => Ok(()),
        _ => Err(Failure::usage(
            "--otlp needs the URL of a collector",
            "write http://HOST:PORT; for TLS run a collector on this machine",
        )),
    }
}

/// Runs `serve`; the result is the exit code.
pub(crate) fn run(args: ServeArgs) -> Result<u8, Failure> {
    args.otlp.as_deref().map_or(Ok(()), check_url)?;
    if args.target.is_command() {
        return Err(Failure::usage(
            "serve traces processes that are already running",
            "use `zctrace stat` or `zctrace record` for a command",
        ));
    }
    let mut access = Access {
        hosts: args.allow_host,
        token: None,
    };
    if let Some(path) = &args.token_file {
        access.read_token(path).map_err(|error| {
            Failure::usage(
                format!("cannot read the token in {}: {error}", path.display()),
                "--token-file takes a file that contains only the token",
            )
        })?;
    }
    let tls = match args.tls_cert.as_deref().zip(args.tls_key.as_deref()) {
        Some((certificate, key)) => Some(Tls::read(certificate, key).map_err(|error| {
            Failure::usage(
                error.to_string(),
                "--tls-cert takes a certificate, --tls-key its private key, both in PEM",
            )
        })?),
        None => None,
    };
    let claims = match &args.policy {
        Some(path) => policy(path)?,
        None => Vec::new(),
    };
    let mut server = Server::listen(&args.listen).map_err(|error| {
        Failure::usage(
            format!("cannot listen on {}: {error}", args.listen),
            "choose another address with --listen",
        )
    })?;
    if let Some(tls) = tls {
        server = server.with_tls(tls);
    }
    let url = server.url();
    let plan = Plan {
        subject: args.target.subject()?,
        user: None,
        follow: !args.target.no_follow,
        faults: !args.no_faults,
        by: if claims.iter().any(Claim::counts_over_the_network) {
            By::Unnamed
        } else {
            By::Nothing
        },
        channel: None,
        without: Vec::new(),
        own_cost: false,
        audit: None,
        stack_bytes: 0,
        unwind: false,
        sizes: false,
        ended: crate::tracer::Ended::Forget,
        duration: None,
        interval: Some(args.interval),
        settle: Duration::ZERO,
        max_rows: args.target.max_rows,
        max_threads: args.target.max_threads,
        ready: args.ready_fd.map(ready_fd::inherited).transpose()?,
    };
    let most = usize::try_from(args.max_paths).unwrap_or(usize::MAX);
    let shared = Arc::new(Mutex::new(
        Series::new(most, args.by.is_some(), args.interval).with_claims(claims),
    ));
    // Made while attaching, used by the intervals after it.
    let pusher: OnceCell<Pusher> = OnceCell::new();
    let attach = |config: &_| {
        let session = run::attach(config)?;
        // Reading the maps needs none, and whoever takes this process over gets none. Threads have
        // capabilities of their own: before the first one is made.
        least::give_up(Keep::Nothing);
        // After signals are held back, so that these threads get none either.
        let system = |source| run::Error::System {
            what: "make a thread",
            source,
        };
        server.start(shared.clone(), access).map_err(system)?;
        if let Some(url) = &args.otlp {
            let _ = pusher.set(Pusher::start(url, shared.clone()).map_err(system)?);
        }
        say(&format!("serving {url}"));
        Ok(session)
    };
    run::observe(plan, attach, &mut |snapshot, _| {
        shared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add(snapshot);
        if let Some(pusher) = pusher.get() {
            pusher.push();
        }
        Ok(())
    })?;
    Ok(0)
}
