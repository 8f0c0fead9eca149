//! What a reading says beside the ledger, kept for those who show or record it.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use super::Meter;
use crate::{
    ledger::{Coverage, audit::Setup},
    recording::Beside,
    target::View,
    tracer::{Error, Reading},
};

/// Takes it out of a reading, with process ids as the user sees them.
pub fn take(reading: &mut Reading, view: Option<&View>) -> Beside {
    let mut beside = Beside {
        sizes: std::mem::take(&mut reading.sizes),
        requests: std::mem::take(&mut reading.requests),
    };
    if let Some(view) = view {
        for requests in &mut beside.requests {
            requests.pid = view.to_user(requests.pid);
        }
        for sizes in &mut beside.sizes {
            sizes.pid = view.to_user(sizes.pid);
        }
    }
    beside
}

/// A meter whose readings are noted.
pub struct Noted<M> {
    meter: M,
    view: Option<View>,
    readings: Arc<Mutex<Vec<Beside>>>,
}

impl<M> Noted<M> {
    /// Adds what each reading says to `readings`.
    pub fn new(meter: M, readings: Arc<Mutex<Vec<Beside>>>) -> Self {
        Self {
            meter,
            view: View::detect().ok(),
            readings,
        }
    }
}

impl<M: Meter> Meter for Noted<M> {
    fn add_task(&mut self, tid: u32) -> Result<(), Error> {
        self.meter.add_task(tid)
    }

    fn coverage(&self) -> &Coverage {
        self.meter.coverage()
    }

    fn backend(&self) -> &str {
        self.meter.backend()
    }

    fn audit(&self) -> Option<&Setup> {
        self.meter.audit()
    }

    fn live_threads(&mut self) -> Result<BTreeSet<u32>, Error> {
        self.meter.live_threads()
    }

    fn keep_up(&mut self) -> Result<(), Error> {
        self.meter.keep_up()
    }

    fn read(&mut self) -> Result<Reading, Error> {
        let mut reading = self.meter.read()?;
        let beside = take(&mut reading, self.view.as_ref());
        let mut readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        readings.push(beside);
        Ok(reading)
    }
}
