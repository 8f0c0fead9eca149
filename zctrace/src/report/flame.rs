//! Flame graphs of sampled stacks.

use std::io;

use inferno::{
    differential,
    flamegraph::{self, Options},
};

use crate::ledger::Stacks;

/// Why there is no flame graph.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No stacks.
    #[error("there are no stacks")]
    Nothing,
    /// It cannot be drawn.
    #[error(transparent)]
    Drawing(#[from] io::Error),
}

/// An SVG document; one that reacts to the mouse has a script, the other none of it and nothing that
/// would call it, so that it can stand in a page that allows no scripts.
///
/// # Errors
///
/// When there are no stacks.
pub fn svg(stacks: &Stacks, interactive: bool) -> Result<String, Error> {
    if stacks.bytes.is_empty() {
        return Err(Error::Nothing);
    }
    draw("Bytes copied by stack", &stacks.folded(), interactive)
}

/// The stacks of a second recording, coloured by how they differ from a first. Recordings differ in length, so the
/// first is scaled to the bytes of the second.
///
/// # Errors
///
/// When there are no stacks.
pub fn differential(before: &Stacks, after: &Stacks, interactive: bool) -> Result<String, Error> {
    if after.bytes.is_empty() {
        return Err(Error::Nothing);
    }
    let options = differential::Options {
        normalize: !before.bytes.is_empty(),
        ..differential::Options::default()
    };
    let mut folded = Vec::new();
    let (before, after) = (before.folded(), after.folded());
    differential::from_readers(options, before.as_bytes(), after.as_bytes(), &mut folded)?;
    let folded = String::from_utf8_lossy(&folded);
    // The order of the lines is that of a hash.
    let mut lines: Vec<_> = folded.lines().collect();
    lines.sort_unstable();
    let title = "Bytes copied by stack: red more than before, blue less";
    draw(title, &lines.join("\n"), interactive)
}

fn draw(title: &str, folded: &str, interactive: bool) -> Result<String, Error> {
    let mut options = Options::default();
    options.title = title.into();
    options.count_name = "bytes".into();
    options.no_javascript = !interactive;
    let mut svg = Vec::new();
    flamegraph::from_lines(&mut options, folded.lines(), &mut svg).map_err(io::Error::other)?;
    let svg = String::from_utf8_lossy(&svg).into_owned();
    Ok(if interactive {
        svg
    } else {
        without_script(&svg)
    })
}

/// `no_javascript` leaves inferno's own script out, but neither the variables before it, nor the
/// handler that calls it, nor what the script would make visible.
fn without_script(svg: &str) -> String {
    let mut svg = svg.replacen(" onload=\"init(evt)\"", "", 1);
    while let Some((start, length)) = svg.find("<script").and_then(|start| {
        let length = svg[start..].find("</script>")? + "</script>".len();
        Some((start, length))
    }) {
        svg.replace_range(start..start + length, "");
    }
    for id in ["details", "unzoom", "search", "matched"] {
        let element = svg
            .find(&format!("<text id=\"{id}\""))
            .and_then(|start| Some((start, svg[start..].find("</text>")? + "</text>".len())));
        if let Some((start, length)) = element {
            svg.replace_range(start..start + length, "");
        }
    }
    svg
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Stack;

    #[test]
    fn only_the_one_that_reacts_has_a_script() {
        let mut stacks = Stacks::default();
        let stack = Stack {
            pid: 1,
            start_time: 2,
            comm: "cat".into(),
            class: "copied_to_user".into(),
            // A name cannot make one either.
            frames: vec!["main".into(), "<script>x</script>".into()],
        };
        stacks.bytes.insert(stack, 4096);
        let still = svg(&stacks, false).unwrap();
        assert!(!still.contains("<script"), "{still}");
        assert!(!still.contains("onload"), "{still}");
        assert!(!still.contains("Search"), "{still}");
        assert!(still.contains("main") && still.contains("Bytes copied by stack"));
        assert!(svg(&stacks, true).unwrap().contains("<script"));
    }

    #[test]
    fn a_differential_has_a_colour_for_more_and_one_for_less() {
        let stacks = |reads: u64, writes: u64| {
            let mut stacks = Stacks::default();
            for (class, bytes) in [("copied_to_user", reads), ("copied_from_user", writes)] {
                let stack = Stack {
                    pid: 1,
                    start_time: 2,
                    comm: "cp".into(),
                    class: class.into(),
                    frames: vec!["main".into()],
                };
                stacks.bytes.insert(stack, bytes);
            }
            stacks
        };
        let colour_of = |svg: &str, frame: &str| {
            let frame = svg.find(&format!("<title>{frame} (")).unwrap();
            let fill = frame + svg[frame..].find("fill=\"").unwrap() + 6;
            svg[fill..].split('"').next().unwrap().to_owned()
        };
        let svg = differential(&stacks(100, 900), &stacks(900, 100), false).unwrap();
        assert!(!svg.contains("<script"));
        let rgb = |colour: &str| -> Vec<u32> {
            let numbers = colour.trim_start_matches("rgb(").trim_end_matches(')');
            numbers
                .split(',')
                .map(|n| n.trim().parse().unwrap())
                .collect()
        };
        let (more, less) = (
            rgb(&colour_of(&svg, "[copied_to_user]")),
            rgb(&colour_of(&svg, "[copied_from_user]")),
        );
        assert!(more[0] > more[2], "red: {more:?}");
        assert!(less[2] > less[0], "blue: {less:?}");
        assert!(matches!(
            differential(&stacks(1, 1), &Stacks::default(), false),
            Err(Error::Nothing)
        ));
    }
}
