//! The requests of one task: begun, done in the background, taken. What is not taken when the task ends is forgotten.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jackfield_api::ConnectError;
use jackfield_tasks::TaskHandle;
use tokio::sync::Notify;

use super::{HttpRequest, HttpResponse, HttpService, prepare};
use crate::{limits::MAX_HTTP_REQUESTS, reach::Reach};

/// The requests of one task.
pub(crate) struct Requests {
    service: Arc<HttpService>,
    reach: Arc<Reach>,
    /// Told whenever an answer can be taken.
    wake: Arc<Notify>,
    begun: Arc<Mutex<Begun>>,
}

#[derive(Default)]
struct Begun {
    last: u64,
    requests: HashMap<u64, State>,
    ended: bool,
}

enum State {
    Running(TaskHandle<()>),
    Done(Result<HttpResponse, ConnectError>),
}

impl Requests {
    pub(crate) fn new(service: Arc<HttpService>, reach: Arc<Reach>, wake: Arc<Notify>) -> Self {
        Self {
            service,
            reach,
            wake,
            begun: Arc::default(),
        }
    }

    /// Begins a request and returns at once, with the number its answer is taken by. What can be refused without the network
    /// is refused here.
    pub(crate) fn begin(&self, request: HttpRequest) -> Result<u64, ConnectError> {
        let prepared = prepare(&self.reach, request)?;
        // Held until the task is in the table, so that it finds itself there when it is done at once.
        let mut begun = lock(&self.begun);
        if begun.ended {
            return Err(ConnectError::fatal("HTTP request: the task has ended"));
        }
        if begun.requests.len() >= MAX_HTTP_REQUESTS {
            return Err(ConnectError::retriable(format!(
                "HTTP request: {MAX_HTTP_REQUESTS} requests are begun and not taken, more are not kept"
            )));
        }
        begun.last += 1;
        let id = begun.last;
        let (service, reach) = (Arc::clone(&self.service), Arc::clone(&self.reach));
        let (table, wake) = (Arc::clone(&self.begun), Arc::clone(&self.wake));
        let running = self.service.group.spawn("request", async move {
            let result = service.send(&reach, prepared).await;
            if let Some(state) = lock(&table).requests.get_mut(&id) {
                *state = State::Done(result);
            }
            wake.notify_one();
        });
        begun.requests.insert(id, State::Running(running));
        Ok(id)
    }

    /// Takes the answer; `None` = it is not there yet.
    pub(crate) fn take(&self, id: u64) -> Option<Result<HttpResponse, ConnectError>> {
        let mut begun = lock(&self.begun);
        match begun.requests.remove(&id) {
            Some(State::Done(result)) => Some(result),
            // It panicked, or was aborted with the process.
            Some(State::Running(running)) if running.is_finished() => {
                Some(Err(ConnectError::retriable("HTTP request: it was given up")))
            }
            Some(running) => {
                begun.requests.insert(id, running);
                None
            }
            None => Some(Err(ConnectError::fatal(format!(
                "HTTP request {id} was not begun, or its answer was taken"
            )))),
        }
    }

    /// Makes a request and waits for its end.
    pub(crate) async fn fetch(&self, request: HttpRequest) -> Result<HttpResponse, ConnectError> {
        self.service.fetch(&self.reach, request).await
    }

    /// Ends all requests for good.
    pub(crate) fn end(&self) {
        let mut begun = lock(&self.begun);
        begun.ended = true;
        for state in std::mem::take(&mut begun.requests).into_values() {
            if let State::Running(running) = state {
                running.abort();
            }
        }
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        self.end();
    }
}

fn lock(begun: &Mutex<Begun>) -> MutexGuard<'_, Begun> {
    begun.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Requests {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Requests")
            .field("begun", &lock(&self.begun).requests.len())
            .finish_non_exhaustive()
    }
}
