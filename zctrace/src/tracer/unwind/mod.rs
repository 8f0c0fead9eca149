//! Unwinding user stacks whose code keeps no frame pointers, from the registers and the memory of each sample and the
//! `.eh_frame` of the files.
//!
//! A thread takes the samples as they come, because the mappings of a process are gone when it has ended. What it
//! cannot unwind keeps the stack that the kernel took. Memory of a stack is never kept longer than it takes to unwind it.

use std::{
    collections::HashMap,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd},
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use aya::{
    Ebpf,
    maps::{MapData, RingBuf},
};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::eventfd::EventFd,
};
use zctrace_common::{StackKey, StackSample};

use self::{
    process::{At, Processes},
    sample::Sample,
};
use super::Error;
use crate::kernel::privileges::{self, Keep};

mod code;
mod process;
mod sample;

/// Room for samples that nobody has unwound yet: two thousand.
const ROOM: u32 = 32 << 20;

/// The length of the ring of samples, in bytes.
pub(super) fn room(is_wanted: bool) -> u32 {
    let page = u32::try_from(crate::kernel::page_size()).unwrap_or(ROOM);
    if is_wanted { ROOM } else { page }
}

/// Different stacks between two questions. What is beyond keeps the stack that the kernel took.
const MOST_STACKS: usize = 16_384;

/// Names of frames, from the outermost to the innermost.
pub(super) type Frames = Arc<[Arc<str>]>;

/// Samples of one place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place<F> {
    /// The process, the kind and the kernel's stack. The user's stack is that of frame pointers.
    pub(super) key: StackKey,
    /// The user's stack, if it could be unwound.
    pub(super) frames: Option<F>,
}

/// Copied bytes by place.
pub(super) type Unwound = HashMap<Place<Frames>, u64>;

/// The thread that unwinds.
pub(super) struct Unwinder {
    questions: Option<mpsc::Sender<mpsc::Sender<Unwound>>>,
    wake: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Unwinder {
    /// Takes the ring of samples out of the loaded programs.
    pub(super) fn start(ebpf: &mut Ebpf) -> Result<Self, Error> {
        let ring = ebpf
            .take_map("STACK_SAMPLES")
            .expect("zctrace-ebpf/src/book/stacks.rs has it");
        let ring = RingBuf::try_from(ring)?;
        let wake = EventFd::new().map_err(|error| Error::Unwinder(error.into()))?;
        let wake = Arc::new(wake);
        let (questions, asked) = mpsc::channel();
        let its_wake = wake.clone();
        let thread = thread::Builder::new()
            .name("unwind".to_owned())
            .spawn(move || {
                // Each thread has capabilities of its own.
                privileges::give_up(Keep::Stacks);
                work(ring, &its_wake, &asked);
            })
            .map_err(Error::Unwinder)?;
        Ok(Self {
            questions: Some(questions),
            wake,
            thread: Some(thread),
        })
    }

    /// What came since the last time.
    pub(super) fn take(&self) -> Unwound {
        let (answer, answered) = mpsc::channel();
        if let Some(questions) = &self.questions
            && questions.send(answer).is_ok()
            && self.wake.write(1).is_ok()
        {
            // A thread that has panicked has dropped the question.
            return answered.recv().unwrap_or_default();
        }
        Unwound::default()
    }
}

impl Drop for Unwinder {
    fn drop(&mut self) {
        self.questions = None;
        if self.wake.write(1).is_ok()
            && let Some(thread) = self.thread.take()
        {
            thread.join().ok();
        }
    }
}

/// Until nobody can ask any more.
fn work(mut ring: RingBuf<MapData>, wake: &EventFd, asked: &mpsc::Receiver<mpsc::Sender<Unwound>>) {
    let mut processes = Processes::new();
    // Named when somebody asks: that takes long, and samples are lost meanwhile.
    let mut unwound: HashMap<Place<Arc<[At]>>, u64> = HashMap::new();
    loop {
        // SAFETY: the ring outlives this loop.
        let samples = unsafe { BorrowedFd::borrow_raw(ring.as_raw_fd()) };
        let mut descriptors = [
            PollFd::new(samples, PollFlags::POLLIN),
            PollFd::new(wake.as_fd(), PollFlags::POLLIN),
        ];
        // An interrupted call is made again.
        poll(&mut descriptors, PollTimeout::NONE).ok();
        let is_asked = descriptors[1].any().unwrap_or(false);
        // Before the question is answered: it is for everything that was there when it was asked. No more than fits in
        // the ring, so that an answer comes even if samples come quicker than they can be unwound.
        let most = ROOM as usize / size_of::<StackSample>();
        for _ in 0..=most {
            let Some(item) = ring.next() else { break };
            if let Some(sample) = Sample::of(&item) {
                let mut place = Place {
                    frames: processes.unwind(&sample),
                    key: sample.key,
                };
                if unwound.len() >= MOST_STACKS && !unwound.contains_key(&place) {
                    place.frames = None;
                }
                let sum = unwound.entry(place).or_default();
                *sum = sum.saturating_add(sample.bytes);
            }
        }
        if is_asked {
            wake.read().ok();
            loop {
                match asked.try_recv() {
                    Ok(answer) => {
                        answer.send(processes.named(unwound.drain())).ok();
                    }
                    Err(mpsc::TryRecvError::Empty) => break,
                    Err(mpsc::TryRecvError::Disconnected) => return,
                }
            }
        }
    }
}
