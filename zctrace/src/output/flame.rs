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

/// An SVG document; one that reacts to the mouse has a script.
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
    Ok(String::from_utf8_lossy(&svg).into_owned())
}
