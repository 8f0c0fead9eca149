//! Flame graphs of sampled stacks.

use std::io;

use inferno::flamegraph::{self, Options};

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
    let mut options = Options::default();
    options.title = "Bytes copied by stack".into();
    options.count_name = "bytes".into();
    options.no_javascript = !interactive;
    let folded = stacks.folded();
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
}
