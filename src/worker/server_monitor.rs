//! Observes a server once a second: sets the limit of its requests in flight, accounts for its time, and writes a line
//! to a log file every few seconds.

use std::{io::Write, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    task::AbortHandle,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use crate::{
    concurrency::{Controller, EngineGauges, GAUGES_EVERY, Observation, ServerActivity},
    engine::{ServerMetrics, TrafficCounts},
    server::{LifeWatch, Ready},
};

use super::{
    found_limits::FoundLimits,
    limiter::{InFlight, Limiter},
    observation_log::ObservationSum,
};
/// Time between two observations.
const TICK: Duration = Duration::from_secs(1);
/// Longest wait for the metrics. An observation without them is better than a late one.
const METRICS_LIMIT: Duration = Duration::from_millis(500);
/// Number of observations in a line of the log.
const LINE: u32 = 10;

/// How the number of requests in flight is determined, and where the best one is kept if it is searched.
pub(super) struct Pacing {
    pub(super) in_flight: InFlight,
    pub(super) found_limits: Option<FoundLimits>,
}

/// Observes a server until it is dropped.
#[derive(Debug)]
pub(super) struct ServerMonitor(AbortHandle);

impl Drop for ServerMonitor {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ServerMonitor {
    /// Starts to observe. The lines go to `file`.
    pub(super) fn start(
        runtime: &Handle,
        limiter: Arc<Limiter>,
        pacing: Pacing,
        life: LifeWatch,
        file: PathBuf,
    ) -> ServerMonitor {
        let Pacing { in_flight, found_limits } = pacing;
        let controller = match in_flight {
            InFlight::Fixed(_) => None,
            InFlight::Adaptive(bounds) => Some(Controller::new(bounds)),
            InFlight::Found(bounds) => Some(Controller::from_found(bounds)),
        };
        let watch = Watch {
            limiter,
            kept: controller.as_ref().and_then(Controller::found),
            controller,
            found_limits,
            life,
            seen: None,
            began: Instant::now(),
            observations: 0,
            sum: ObservationSum::default(),
            file,
        };
        ServerMonitor(runtime.spawn(watch.run()).abort_handle())
    }
}

struct Watch {
    limiter: Arc<Limiter>,
    /// `None` if the number of requests in flight is fixed.
    controller: Option<Controller>,
    found_limits: Option<FoundLimits>,
    /// The found limit that is kept.
    kept: Option<u32>,
    life: LifeWatch,
    /// The server start that was last observed ready, the time of that observation, and the traffic up to then.
    seen: Option<(u32, Instant, TrafficCounts)>,
    began: Instant,
    observations: u32,
    sum: ObservationSum,
    file: PathBuf,
}

impl Watch {
    async fn run(mut self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let life = match self.life.ready() {
                Some(ready) => self.sample(&ready).await,
                None => None,
            };
            if self.life.is_resting() {
                self.limiter.account_rest();
                if let (Some(_), Some(controller)) = (self.seen.take(), &mut self.controller) {
                    controller.restarted();
                }
                continue;
            }
            self.limiter.account(life, self.seen.is_some());
        }
    }

    /// What the server did since the last observation; `None` at the first observation of a server start.
    async fn sample(&mut self, ready: &Ready) -> Option<ServerActivity> {
        let client = ready.reader.client();
        self.observations += 1;
        let metrics = if self.observations.is_multiple_of(GAUGES_EVERY) {
            timeout(METRICS_LIMIT, client.metrics()).await.ok().flatten()
        } else {
            None
        };
        let (now, counts) = (Instant::now(), client.traffic().counts());
        let (start, then, before) = self.seen.replace((ready.start, now, counts))?;
        if start != ready.start {
            if let Some(controller) = &mut self.controller {
                controller.restarted();
            }
            return None;
        }
        let seen = observation(now - then, before, counts, metrics);
        let limit = self.limiter.slots().limit();
        if let Some(controller) = &mut self.controller {
            controller.observe(&seen);
            if controller.limit() != limit {
                tracing::info!(from = limit, to = controller.limit(), "the limit of requests in flight changes");
                self.limiter.slots().set_limit(controller.limit());
            }
        }
        self.keep_found_limit();
        self.limiter.account_load(&seen, limit);
        self.sum.add(&seen);
        if self.sum.observations == LINE {
            self.write(limit).await;
        }
        let on_their_way = self.limiter.on_their_way(seen.in_flight);
        let no_pages = self.limiter.no_pages();
        Some(ServerActivity::Ready { in_flight: seen.in_flight, limit, on_their_way, no_pages })
    }

    fn keep_found_limit(&mut self) {
        let found = self.controller.as_ref().and_then(Controller::found);
        if found.is_some() && found != self.kept {
            self.kept = found;
            if let (Some(limits), Some(found)) = (self.found_limits.clone(), found) {
                tokio::task::spawn_blocking(move || limits.keep(found));
            }
        }
    }

    async fn write(&mut self, limit: u32) {
        let line = std::mem::take(&mut self.sum).line(self.began.elapsed(), limit);
        let file = self.file.clone();
        let append = move || {
            let mut text = serde_json::to_string(&line)?;
            text.push('\n');
            std::fs::OpenOptions::new().create(true).append(true).open(file)?.write_all(text.as_bytes())
        };
        // If the disk is slow or full, lines are lost, but no pages.
        if let Ok(Err(error)) = tokio::task::spawn_blocking(append).await {
            tracing::debug!(%error, "cannot write {}", self.file.display());
        }
    }
}

fn observation(
    span: Duration,
    before: TrafficCounts,
    counts: TrafficCounts,
    metrics: Option<ServerMetrics>,
) -> Observation {
    let gauges = |metrics: ServerMetrics| {
        Some(EngineGauges {
            running: metrics.running?,
            waiting: metrics.waiting?,
            kv_cache_usage: metrics.kv_cache_usage.unwrap_or_default(),
            preemptions: metrics.preemptions.unwrap_or_default(),
        })
    };
    Observation {
        span,
        in_flight: (counts.in_flight_seconds - before.in_flight_seconds) / span.as_secs_f64().max(1e-6),
        prompt_tokens: counts.prompt_tokens - before.prompt_tokens,
        generated_tokens: counts.generated_tokens - before.generated_tokens,
        finished: counts.finished - before.finished,
        gauges: metrics.and_then(gauges),
    }
}
