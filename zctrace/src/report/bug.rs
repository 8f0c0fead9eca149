//! What a maintainer needs to know of a machine, without what is nobody's business: no host name, no user, no process,
//! and no path but those of the system.

use std::fmt::Write as _;

use super::checkup;
use crate::{
    kernel::doctor::Document,
    text::{escape::printable, named_file, style::Surface},
};

/// Far more than the file has.
const MOST: u64 = 64 << 10;

/// The report, to be put into an issue as it is.
#[must_use]
pub fn report(document: &Document) -> String {
    let release = named_file::read_text(std::path::Path::new("/etc/os-release"), MOST);
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    text(document, &release.unwrap_or_default(), processors)
}

fn text(document: &Document, release: &str, processors: usize) -> String {
    let mut document = document.clone();
    // It has the path of the program, and with it perhaps a name.
    document.privileges.setcap = None;
    let yes_no = |yes: bool| if yes { "yes" } else { "no" };
    let mut text = String::from(
        "### What happened\n\n<!-- The command, what it printed, and what you expected. \
         With -v zctrace says what it decides. -->\n\n### Where\n\n",
    );
    for (name, value) in [
        ("zctrace", document.version.clone()),
        (
            "kernel",
            format!("Linux {} {}", document.kernel, document.arch),
        ),
        ("distribution", distribution(release)),
        ("processors", processors.to_string()),
        (
            "backend",
            document.backend.clone().unwrap_or_else(|| "none".into()),
        ),
        ("can measure", yes_no(document.can_measure).into()),
    ] {
        let _ = writeln!(text, "- {name}: {}", printable(&value));
    }
    let details = checkup::report(&document, true, Surface::FILE);
    let _ = write!(
        text,
        "\n<details><summary>zctrace doctor --all</summary>\n\n```text\n{}\n```\n\n</details>\n",
        // Nothing in it can end the block.
        details
            .trim_end()
            .replace("```", "\u{2019}\u{2019}\u{2019}")
    );
    text
}

/// The name of the distribution.
fn distribution(release: &str) -> String {
    let name = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(
        || "unknown".into(),
        |name| name.trim_matches('"').to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::doctor::{Facts, Survey};

    #[test]
    fn a_maintainer_gets_everything_and_nobody_s_business_stays_out() {
        let mut document = Facts::gather(Ok(Survey::default())).conclude();
        document.kernel = "6.1.0-test".into();
        document.privileges.setcap = Some("sudo setcap x /home/somebody/bin/zctrace".into());
        let release = "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 13\"\n";
        let text = text(&document, release, 3);
        for part in [
            "- kernel: Linux 6.1.0-test",
            "- distribution: Debian GNU/Linux 13",
            "- processors: 3",
            "- backend: ",
            "```text\nzctrace ",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("somebody"), "{text}");
        let own = std::env::current_exe().unwrap();
        assert!(!text.contains(own.to_str().unwrap()), "{text}");
        let host = nix::unistd::gethostname().unwrap();
        let host = host.to_string_lossy();
        // A short name can be part of a word.
        assert!(host.len() < 6 || !text.contains(&*host), "{text}");
        assert_eq!(distribution(""), "unknown");
    }
}
