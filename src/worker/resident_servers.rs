//! Servers of a rank that serve several runs, one after the other.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, mpsc::Sender},
};

use tokio::runtime::{Handle, Runtime};

use super::{context::LocalEvent, error::WorkerError, mutex::lock};
use crate::{
    model::Engine,
    server::{Service, ServiceEvent},
};

/// The servers of this rank, and the runtime that they live on. A worker takes them at its start and puts them back at
/// its end.
pub struct ResidentServers {
    runtime: Runtime,
    services: Mutex<BTreeMap<Engine, Service>>,
    /// Where events of the servers go: to the worker that has them. Without one they are dropped.
    events: Arc<Mutex<Option<Sender<LocalEvent>>>>,
}

impl ResidentServers {
    /// No server yet: the first worker starts them.
    ///
    /// # Errors
    /// The system refuses threads.
    pub fn new() -> Result<ResidentServers, WorkerError> {
        Ok(ResidentServers { runtime: task_runtime()?, services: Mutex::default(), events: Arc::default() })
    }

    /// Stops the servers and waits until they are gone. The next worker starts others.
    pub fn stop_servers(&self) {
        let services = std::mem::take(&mut *lock(&self.services));
        self.runtime.block_on(stop_all(services));
    }

    /// Lets the servers go. They stay for the orphan grace: the next worker takes over those that it would start alike.
    pub fn release(&self) {
        let _guard = self.runtime.enter();
        lock(&self.services).clear();
    }

    pub(super) fn runtime(&self) -> &Handle {
        self.runtime.handle()
    }

    /// Gives the servers to a worker. From now on it gets their events.
    pub(super) fn take(&self, events: &Sender<LocalEvent>) -> BTreeMap<Engine, Service> {
        *lock(&self.events) = Some(events.clone());
        std::mem::take(&mut *lock(&self.services))
    }

    /// Takes the servers back from a worker.
    pub(super) fn put_back(&self, services: BTreeMap<Engine, Service>) {
        *lock(&self.events) = None;
        *lock(&self.services) = services;
    }

    /// Sends the events of a server to the worker that has it.
    pub(super) fn on_event(&self, engine: Engine) -> impl Fn(ServiceEvent) + Send + Sync + 'static + use<> {
        let events = Arc::clone(&self.events);
        move |event| {
            if let Some(events) = &*lock(&events) {
                let _ = events.send(LocalEvent::of_service(engine, event));
            }
        }
    }
}

/// The runtime of a rank's tasks.
pub(super) fn task_runtime() -> Result<Runtime, WorkerError> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).thread_name("bocr-tasks").enable_all().build().map_err(WorkerError::Runtime)
}

/// Stops servers and waits until they are gone.
pub(super) async fn stop_all(services: BTreeMap<Engine, Service>) {
    futures_util::future::join_all(services.into_values().map(Service::stop)).await;
}
