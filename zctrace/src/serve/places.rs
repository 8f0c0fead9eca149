//! The places of clients: bounded, and nobody can keep the others out of them.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    task::{AbortHandle, JoinHandle},
    time::{self, Instant},
};

/// Clients at a time. Those beyond wait in the kernel's queue: no descriptor and no memory here.
const PLACES: usize = 64;

/// How long a client that has said nothing keeps its place where others wait.
const SILENT: Duration = Duration::from_millis(100);

/// How long a client that is being answered does.
const ANSWERED: Duration = Duration::from_secs(2);

/// How often to look for a place where all are taken.
const PAUSE: Duration = Duration::from_millis(10);

/// The places that are taken.
#[derive(Default)]
pub(super) struct Places {
    taken: Mutex<Vec<Place>>,
}

/// A client's place.
#[derive(Clone)]
pub(super) struct Place(Arc<Mutex<Client>>);

struct Client {
    since: Instant,
    has_asked: bool,
    task: Option<AbortHandle>,
}

impl Client {
    fn is_over(&self) -> bool {
        self.task.as_ref().is_some_and(AbortHandle::is_finished)
    }

    /// How long its place has been due to others; `None` while it is its own.
    fn overdue(&self) -> Option<Duration> {
        let allowed = if self.has_asked { ANSWERED } else { SILENT };
        self.since.elapsed().checked_sub(allowed)
    }
}

impl Places {
    /// A place, as soon as there is one: the one that has been due for longest is taken away.
    pub(super) async fn take(&self) -> Place {
        loop {
            if let Some(place) = self.try_take() {
                return place;
            }
            time::sleep(PAUSE).await;
        }
    }

    fn try_take(&self) -> Option<Place> {
        let mut taken = lock(&self.taken);
        taken.retain(|place| !lock(&place.0).is_over());
        if taken.len() >= PLACES {
            let due = |place: &Place| lock(&place.0).overdue();
            let (longest, _) = taken
                .iter()
                .enumerate()
                .filter_map(|(index, place)| Some((index, due(place)?)))
                .max_by_key(|&(_, overdue)| overdue)?;
            let place = taken.swap_remove(longest);
            if let Some(task) = &lock(&place.0).task {
                task.abort();
            }
        }
        let place = Place(Arc::new(Mutex::new(Client {
            since: Instant::now(),
            has_asked: false,
            task: None,
        })));
        taken.push(place.clone());
        Some(place)
    }
}

impl Place {
    /// The task that answers the client.
    pub(super) fn is_of<T>(&self, task: &JoinHandle<T>) {
        lock(&self.0).task = Some(task.abort_handle());
    }

    /// TLS' handshake is done, which took a round trip: the time to ask begins anew.
    pub(super) fn has_come_in(&self) {
        lock(&self.0).since = Instant::now();
    }

    /// The client has said what it wants.
    pub(super) fn has_asked(&self) {
        let mut client = lock(&self.0);
        client.has_asked = true;
        client.since = Instant::now();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn the_silent_give_way_before_those_who_are_answered() {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let places = Places::default();
            let mut tasks = Vec::new();
            for number in 0..PLACES {
                let place = places.take().await;
                let task = tokio::spawn(std::future::pending::<()>());
                place.is_of(&task);
                if number > 0 {
                    place.has_asked();
                }
                tasks.push(task);
            }
            assert!(places.try_take().is_none(), "nobody is due yet");
            time::sleep(SILENT).await;
            assert!(places.try_take().is_some());
            tokio::task::yield_now().await;
            let ended: Vec<_> = tasks.iter().map(JoinHandle::is_finished).collect();
            assert_eq!(ended.iter().filter(|&&ended| ended).count(), 1);
            assert!(ended[0], "another one than the silent client");
            // In the end everybody's time is over.
            time::sleep(ANSWERED).await;
            for _ in 0..PLACES {
                assert!(places.try_take().is_some());
            }
        });
    }
}
