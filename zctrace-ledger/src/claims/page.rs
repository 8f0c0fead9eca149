//! The rules and the table as the page docs/claims.md shows them.

use std::fmt::Write as _;

use super::{
    rules,
    table::{Case, Expected, LINES},
};
use crate::text::generated::replaced;

/// What stands before the generated part of the page.
pub const BEGIN: &str = "<!-- The table and the rules: written by `cargo xtask docs`. -->\n";
/// What stands after it.
pub const END: &str = "<!-- End of the table and the rules. -->\n";

/// The generated part.
#[must_use]
pub fn generated() -> String {
    let mut text = String::from(
        "\n## Claims, and what a measurement says\n\n\
         | claimed | what really happens | shown by | claim judged | 6.1 | 6.12 | 7.3 | tracepoints only |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for line in LINES {
        if line.cases.is_empty() {
            let shown = match line.test {
                "" => "a made-up ledger".to_owned(),
                test => format!("`{test}`"),
            };
            let codes: Vec<_> = line.codes.iter().map(|code| format!("`{code}`")).collect();
            let _ = writeln!(
                text,
                "| {} | {} | {shown} | | {} | | | |",
                line.claim,
                line.truth,
                codes.join(", ")
            );
        }
        for case in line.cases {
            let _ = writeln!(
                text,
                "| {} | {} | `{}` | {} | {} | {} | {} | {} |",
                line.claim,
                line.truth,
                case.traffic,
                judged(case),
                cell(case.linux_6_1),
                cell(case.linux_6_12),
                cell(case.linux_7_3),
                cell(case.tracepoints),
            );
        }
    }
    text.push_str("\n## Reasons\n");
    for rule in rules::all() {
        let _ = write!(
            text,
            "\n### `{}`\n\n{}.\n\nEvidence: {}.\n\nRemedy: {}.\n",
            rule.code, rule.says, rule.evidence, rule.remedy
        );
    }
    text.push_str(
        "\n## Settings of servers\n\n\
         The remedy of `above-limit` names the setting if a process of this name took as many bytes into its \
         memory as it gave to sockets.\n\n\
         | process | what it does | setting | its manual |\n|---|---|---|---|\n",
    );
    for server in rules::relay::SERVERS {
        text.push_str(&server.line());
        text.push('\n');
    }
    text.push('\n');
    text
}

fn judged(case: &Case) -> String {
    let path = case
        .path
        .map_or_else(String::new, |op| format!("`--path {}`, ", op.name()));
    let least = match case.min_bytes {
        super::MIN_BYTES => String::new(),
        least => format!("`--min-bytes {least}`, "),
    };
    format!("{path}{least}at most {}", case.limit)
}

fn cell(expected: Expected) -> String {
    match expected {
        Expected::Says(verdict, "") => verdict.word().to_owned(),
        Expected::Says(verdict, code) => format!("{} `{code}`", verdict.word()),
        Expected::Refuses => "the kernel refuses".to_owned(),
    }
}

/// The page with its generated part replaced by the current one; `None` if the markers are missing.
#[must_use]
pub fn refreshed(page: &str) -> Option<String> {
    replaced(page, BEGIN, END, &generated())
}
