//! What is left of zctrace's privileges once everything is attached.

use crate::{
    kernel::privileges::{self, Keep},
    run,
    text::message::say,
    tracer::{Config, Session},
};

/// Attaches, then gives up what is not kept.
pub(crate) fn attach_and_keep(keep: Keep) -> impl FnOnce(&Config) -> Result<Session, run::Error> {
    move |config| {
        let session = run::attach(config)?;
        give_up(keep);
        Ok(session)
    }
}

/// Gives up what is not kept. What is refused stays, which a container may want to know.
pub(crate) fn give_up(keep: Keep) {
    for refused in privileges::give_up(keep) {
        say(&format!("warning: could not drop capabilities ({refused})"));
    }
}
