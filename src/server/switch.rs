//! Two servers on one GPU: they start one after the other, or share it by role switches, where one serves while the
//! other sleeps or has ended.

use tokio::time::Instant;

use crate::{engine::EngineError, model::error::chain, sys::seconds_text};

use super::{
    control::ShutdownRequest,
    desired_state::{DesiredState, until},
    launch::Launch,
    process::Server,
    start::{StartError, client_of},
    state::State,
    supervisor::Supervisor,
};

impl Supervisor {
    /// Waits for the permit to use the GPU.
    pub(super) async fn acquire(&mut self) {
        if self.admitted.is_none() {
            self.admitted = self.plan.gpu_permits.acquire().await;
        }
    }

    /// Waits until this engine is to serve. A server that an earlier attempt has left may have memory of the GPU: it is
    /// put to sleep or ended before the other may start. A sleeping server that dies is restarted at the next switch;
    /// its death counts against no page and no start.
    pub(super) async fn rest(&mut self) -> Result<(), StartError> {
        let mut desired_state = self.desired_state.clone();
        if *desired_state.borrow() == DesiredState::Serve {
            return Ok(());
        }
        self.state.send_replace(State::Resting);
        if self.server.is_none()
            && let Some(launch) = self.launch()?
        {
            match Server::take_over(&launch).await? {
                Some(server) => {
                    self.server = Some(server);
                    self.put_aside().await;
                }
                None => self.prestage(launch),
            }
        }
        self.admitted = None;
        let died = tokio::select! {
            () = ended(&mut self.server) => true,
            () = until(&mut desired_state, DesiredState::Serve) => false,
        };
        if died {
            tracing::warn!(
                engine = %self.plan.engine,
                "the sleeping server died: it is restarted when its engine is needed"
            );
            self.end_server(ShutdownRequest::Kill).await;
            until(&mut desired_state, DesiredState::Serve).await;
        }
        self.state.send_replace(State::Starting);
        Ok(())
    }

    fn prestage(&mut self, launch: Launch) {
        if let (Some(preparation), true) = (self.plan.share.preparation.clone(), self.ahead.is_empty()) {
            let (limit, serves) = (self.plan.settings.start_limit, self.plan.gpu_permits.serves.subscribe());
            self.ahead.spawn(async move {
                preparation.prestage(&launch.command, &launch.environment, limit, serves).await;
            });
        }
    }

    /// Leaves the GPU to another engine: puts the server to sleep, or ends it. A server that does not fall asleep is
    /// killed.
    pub(super) async fn put_aside(&mut self) {
        let engine = self.plan.engine.clone();
        let since = Instant::now();
        match &self.server {
            Some(server) if !server.has_answered() => {
                self.end_server(ShutdownRequest::Kill).await;
                tracing::info!(
                    %engine,
                    took = %seconds_text(since.elapsed()),
                    "ended the server: it was still starting"
                );
            }
            Some(server) if server.sleeps() => match self.put_to_sleep(server).await {
                Ok(()) => tracing::info!(%engine, took = %seconds_text(since.elapsed()), "the server sleeps"),
                Err(error) => {
                    tracing::warn!(%engine, "ending the server, because it does not fall asleep: {}", chain(&error));
                    self.end_server(ShutdownRequest::Kill).await;
                }
            },
            Some(_) => {
                self.end_server(ShutdownRequest::Goodbye).await;
                tracing::info!(
                    %engine,
                    took = %seconds_text(since.elapsed()),
                    "ended the server: it has no sleep mode"
                );
            }
            None => {}
        }
        self.admitted = None;
    }

    async fn put_to_sleep(&self, server: &Server) -> Result<(), EngineError> {
        client_of(&self.plan.settings, server.address().clone(), server.key())?.sleep().await
    }
}

/// Waits for the end of the server's process; for ever where there is no server.
pub(super) async fn ended(server: &mut Option<Server>) {
    match server {
        Some(server) => server.ended().await,
        None => std::future::pending().await,
    }
}
