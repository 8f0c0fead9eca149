//! `zctrace man`: the manual pages, for an installation without a package.

use std::io;

use clap::Args;

use super::args::failure::Failure;
use crate::text::sink::Sink;

const EXAMPLES: &str = "\
Examples:
  zctrace man | man -l -           the page of zctrace
  zctrace man stat | man -l -      the page of a command";

/// The files section, the same in every page.
const FILES: &str = "\
.SH FILES
.TP
.I $XDG_CONFIG_HOME/zctrace/config.toml
The settings of \\fBzctrace top\\fR. \\fBzctrace config\\fR prints a file with every setting. If the variable is not set,
the file is below \\fI~/.config\\fR.
.TP
.I /sys/kernel/btf/vmlinux
The kernel's type information, without which nothing can be traced.
";

/// Arguments of `man`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ManArgs {
    /// The page of this command
    command: Option<String>,
}

/// Runs `man`; the result is the exit code.
pub(crate) fn run(args: &ManArgs) -> Result<u8, Failure> {
    let page = page(args.command.as_deref()).ok_or_else(|| {
        Failure::usage(
            format!(
                "there is no command {:?}",
                args.command.as_deref().unwrap_or_default()
            ),
            "`zctrace help` lists them",
        )
    })?;
    let mut sink = Sink::stdout();
    sink.write(|out| out.write_all(page.as_bytes()))?;
    sink.finish()?;
    Ok(0)
}

/// The page of a command, or of all; `None` where there is no such command.
fn page(name: Option<&str>) -> Option<String> {
    let mut all = super::definition();
    all.build();
    let command = match name {
        None => all,
        Some(name) => {
            let own = all.find_subcommand(name)?.clone();
            // As the file is called.
            let title: &'static str = format!("zctrace-{name}").leak();
            own.name(title)
        }
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text).ok()?;
    String::from_utf8(text).ok().map(|text| finished(&text))
}

/// Finishes what the generator leaves. The generator puts the text after the options into a section "extra" and lets
/// its lines be filled and justified. But the text is examples, whose layout matters, and the exit status.
pub(super) fn finished(page: &str) -> String {
    let Some((before, after)) = page.split_once("\n.SH EXTRA\n") else {
        return format!("{}\n{FILES}", page.trim_end());
    };
    let (extra, rest) = match after.find("\n.SH ") {
        Some(end) => after.split_at(end),
        None => (after.trim_end_matches('\n'), "\n"),
    };
    let extra = extra.strip_prefix("Examples:\n").unwrap_or(extra);
    let (examples, status) = match extra.split_once("Exit status: ") {
        Some((examples, status)) => (examples.trim_end(), Some(status)),
        None => (extra, None),
    };
    let status = status.map_or_else(String::new, |status| {
        format!(".SH \"EXIT STATUS\"\n{}\n", status.trim_end())
    });
    format!(
        "{before}\n.SH EXAMPLES\n.nf\n{examples}\n.fi\n{status}{FILES}{}",
        rest.trim_start_matches('\n')
    )
}

/// Every page, below a directory.
pub(super) fn write(directory: &std::path::Path) -> io::Result<()> {
    clap_mangen::generate_to(super::definition(), directory)?;
    for page in std::fs::read_dir(directory)? {
        let page = page?.path();
        let text = std::fs::read_to_string(&page)?;
        std::fs::write(&page, finished(&text))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_the_usual_sections() {
        let stat = page(Some("stat")).unwrap();
        for section in ["NAME", "OPTIONS", "EXAMPLES", "\"EXIT STATUS\"", "FILES"] {
            assert_eq!(
                stat.matches(&format!("\n.SH {section}\n")).count(),
                1,
                "{section}: {stat}"
            );
        }
        assert!(stat.contains("zctrace\\-stat"), "{stat}");
        assert!(page(None).unwrap().contains("\n.SH FILES\n"));
        assert_eq!(page(Some("bogus")), None);
    }
}
