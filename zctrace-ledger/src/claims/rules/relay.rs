//! A process that takes bytes into its memory and gives them away again: the call that would pass them on within the
//! kernel, and the setting of common servers.

use super::Matter;
use crate::{
    claims::portion::Row,
    ledger::{End, Path, Process},
    text::{bytes::bytes, escape::printable},
};

/// How to configure a server.
pub(crate) struct Server {
    /// The name of its process.
    comm: &'static str,
    /// Whether the bytes come from a socket, not a file.
    relays: bool,
    /// What to set.
    pub(crate) setting: &'static str,
    /// Where its manual says so.
    pub(crate) source: &'static str,
}

pub(crate) const SERVERS: &[Server] = &[
    Server {
        comm: "nginx",
        relays: false,
        setting: "`sendfile on;` (it is off by default, and does not work with gzip, TLS in user space or `directio`)",
        source: "https://nginx.org/en/docs/http/ngx_http_core_module.html#sendfile",
    },
    Server {
        comm: "apache2",
        relays: false,
        setting: "`EnableSendfile On` (it is off by default)",
        source: "https://httpd.apache.org/docs/2.4/mod/core.html#enablesendfile",
    },
    Server {
        comm: "httpd",
        relays: false,
        setting: "`EnableSendfile On` (it is off by default)",
        source: "https://httpd.apache.org/docs/2.4/mod/core.html#enablesendfile",
    },
    Server {
        comm: "haproxy",
        relays: true,
        setting: "`option splice-response`, and `option splice-request` for uploads (with `splice-auto` haproxy decides, and can decide against it)",
        source: "https://docs.haproxy.org/3.0/configuration.html#4-option%20splice-response",
    },
    Server {
        comm: "redis-server",
        relays: false,
        setting: "`repl-diskless-sync yes` sends a snapshot to replicas without a file",
        source: "https://redis.io/docs/latest/operate/oss_and_stack/management/replication/",
    },
    Server {
        comm: "postgres",
        relays: false,
        setting: "none for what it sends; `file_copy_method = clone` copies databases by reference (18 and later)",
        source: "https://www.postgresql.org/docs/18/runtime-config-resource.html#GUC-FILE-COPY-METHOD",
    },
];

impl Server {
    /// As the page of the rules shows it.
    pub(crate) fn line(&self) -> String {
        let what = if self.relays { "relays" } else { "sends files" };
        let Self {
            comm,
            setting,
            source,
            ..
        } = self;
        format!("| `{comm}` | {what} by copying | {setting} | <{source}> |")
    }
}

/// What to set in a server with this name, that sends files by copying or, if it `relays`, what it receives: the end of
/// a sentence, such as "; nginx: `sendfile on;`", and nothing for a server that is not known.
#[must_use]
pub fn setting(comm: &str, relays: bool) -> String {
    SERVERS
        .iter()
        .find(|server| server.comm == comm && server.relays == relays)
        .map_or_else(String::new, |server| {
            format!("; {}: {}", server.comm, server.setting)
        })
}

fn is_file(path: &Path) -> bool {
    path.object.sole().is_some_and(End::is_stored)
}

fn is_stream(path: &Path) -> bool {
    matches!(path.object.sole(), Some(End::Tcp | End::Unix | End::Vsock))
}

/// Copies of the rows of a process for which `is` holds, and the largest of them.
fn copies(process: &Process, is: impl Fn(&Path) -> bool) -> Option<(u64, &Path)> {
    let rows = || process.paths.iter().filter(|path| is(path));
    let largest = rows().max_by_key(|path| path.totals.copies())?;
    let sum = rows().fold(0_u64, |sum, path| sum.saturating_add(path.totals.copies()));
    Some((sum, largest))
}

/// The remedy for a process that took as many bytes into its memory as it gave to sockets.
pub(super) fn remedy(matter: Matter<'_>, row: &Row<'_>) -> Option<String> {
    let process = row.process;
    let out = |path: &Path| path.goes_out() == Some(true) && is_stream(path);
    let into = |path: &Path| path.goes_out() == Some(false);
    let (given, sink) = copies(process, out)?;
    for (relays, call) in [(false, "sendfile"), (true, "splice")] {
        let is_source = |path: &Path| {
            if relays {
                is_stream(path)
            } else {
                is_file(path)
            }
        };
        let Some((taken, source)) = copies(process, |path| into(path) && is_source(path)) else {
            continue;
        };
        let mine = out(row.path) || into(row.path) && is_source(row.path);
        let (less, more) = (taken.min(given), taken.max(given));
        // Headers and logs make a difference of a few percent.
        let as_many = less >= matter.claim.min_bytes && less >= more - more / 10;
        if !mine || !as_many {
            continue;
        }
        let setting = setting(&process.comm, relays);
        return Some(format!(
            "it took {} by `{} {}` and gave {} away by `{} {}`: {call} passes such bytes on within the \
                kernel{setting}",
            bytes(taken),
            source.op,
            printable(source.object.as_str()),
            bytes(given),
            sink.op,
            printable(sink.object.as_str()),
        ));
    }
    None
}
