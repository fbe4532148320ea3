//! Runs a modelled GPU in real time, and hands every request its tokens.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::Instant};

use gpu_model::{Batch, GpuModel, SequenceEvent, SequenceId};

use crate::standin::http::metrics::Metrics;

/// Shortest sleep of the driver. For shorter waits it runs several steps at once, which costs less than waking for
/// each.
const GRAIN: Duration = Duration::from_millis(10);
/// Number of steps after which other tasks may run, for the case that steps take no real time.
const STEPS_A_TURN: u32 = 256;

/// Ratio of real time to modelled time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimeScale {
    /// Factor on modelled time; with 0 the driver does not wait at all.
    pub factor: f64,
    /// After this time the GPU is slower by this further factor.
    pub slow_after: Option<(Duration, f64)>,
}

impl From<f64> for TimeScale {
    fn from(factor: f64) -> Self {
        TimeScale { factor, slow_after: None }
    }
}

impl TimeScale {
    fn after(&self, elapsed: Duration) -> f64 {
        match self.slow_after {
            Some((after, slowness)) if elapsed >= after => self.factor * slowness,
            Some(_) | None => self.factor,
        }
    }
}

#[derive(Debug)]
enum Command {
    Submit { id: SequenceId, prompt: u32, answer: u32, events: mpsc::UnboundedSender<SequenceEvent> },
    Abort(SequenceId),
}

/// A GPU that is being driven. After it is dropped, the driver ends with its last sequence.
#[derive(Debug)]
pub struct Gpu {
    commands: mpsc::UnboundedSender<Command>,
    next: std::sync::atomic::AtomicU64,
}

impl Gpu {
    /// Starts the driver on the current runtime.
    pub fn start(model: GpuModel, time_scale: impl Into<TimeScale>, metrics: Arc<Metrics>) -> Self {
        let (commands, received) = mpsc::unbounded_channel();
        tokio::spawn(drive(Batch::new(model), time_scale.into(), received, metrics));
        Gpu { commands, next: std::sync::atomic::AtomicU64::new(0) }
    }

    /// Submits a sequence to this GPU.
    pub fn submit(&self, prompt: u32, answer: u32) -> SequenceHandle {
        let id = SequenceId(self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let (sender, events) = mpsc::unbounded_channel();
        // If the driver is gone, the request sees a closed event channel.
        let _ = self.commands.send(Command::Submit { id, prompt, answer, events: sender });
        SequenceHandle { id, events, commands: self.commands.clone() }
    }
}

/// A sequence, for its request. Dropping it frees its place.
#[derive(Debug)]
pub struct SequenceHandle {
    id: SequenceId,
    events: mpsc::UnboundedReceiver<SequenceEvent>,
    commands: mpsc::UnboundedSender<Command>,
}

impl SequenceHandle {
    /// The next event; `None` once all tokens have come.
    pub async fn next(&mut self) -> Option<SequenceEvent> {
        self.events.recv().await
    }
}

impl Drop for SequenceHandle {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Abort(self.id));
    }
}

async fn drive(
    mut batch: Batch,
    time_scale: TimeScale,
    mut commands: mpsc::UnboundedReceiver<Command>,
    metrics: Arc<Metrics>,
) {
    let mut listeners = BTreeMap::new();
    let mut events = Vec::new();
    let began = Instant::now();
    let mut now = began;
    let mut steps = 0;
    loop {
        if batch.is_idle() {
            let Some(command) = commands.recv().await else { break };
            run_command(command, &mut batch, &mut listeners);
            now = Instant::now();
        }
        while let Ok(command) = commands.try_recv() {
            run_command(command, &mut batch, &mut listeners);
        }
        now += batch.step(&mut events).mul_f64(time_scale.after(began.elapsed()));
        if now > Instant::now() + GRAIN {
            tokio::time::sleep_until(now).await;
        }
        steps += 1;
        if steps % STEPS_A_TURN == 0 {
            tokio::task::yield_now().await;
        }
        for (id, event) in events.drain(..) {
            // An error means that the request is gone; its abort follows.
            let _ = listeners.get(&id).map(|listener: &mpsc::UnboundedSender<_>| listener.send(event));
        }
        metrics.set_cache(batch.cache_usage(), batch.preemptions());
    }
}

fn run_command(
    command: Command,
    batch: &mut Batch,
    listeners: &mut BTreeMap<SequenceId, mpsc::UnboundedSender<SequenceEvent>>,
) {
    match command {
        Command::Submit { id, prompt, answer, events } => {
            batch.submit(id, prompt, answer);
            listeners.insert(id, events);
        }
        Command::Abort(id) => {
            batch.abort(id);
            listeners.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::standin::http::release::Release;

    #[tokio::test]
    async fn tokens_come_in_full_and_a_dropped_handle_frees_its_place() {
        let model = GpuModel { max_num_seqs: 1, ..GpuModel::default() };
        let gpu = Gpu::start(model, 0.0, Metrics::new("test", Release::default()));
        let endless = gpu.submit(100, u32::MAX);
        let mut second = gpu.submit(100, 5);
        drop(endless);
        let mut seen = Vec::new();
        while seen.len() < 6 {
            seen.push(second.next().await.unwrap());
        }
        assert_eq!(seen[0], SequenceEvent::Admitted);
        assert!(seen[1..].iter().all(|event| *event == SequenceEvent::Token));
    }

    #[test]
    fn a_gpu_becomes_slower_when_its_time_has_come() {
        let scale = TimeScale { factor: 0.5, slow_after: Some((Duration::from_secs(60), 2.0)) };
        assert_eq!([0, 59, 60, 600].map(|second| scale.after(Duration::from_secs(second))), [0.5, 0.5, 1.0, 1.0]);
    }

    #[tokio::test]
    async fn modelled_time_passes_in_real_time() {
        let gpu = Gpu::start(GpuModel::default(), 0.5, Metrics::new("test", Release::default()));
        let began = Instant::now();
        let mut handle = gpu.submit(1000, 20);
        let mut tokens = 0;
        while tokens < 20 {
            tokens += u32::from(handle.next().await == Some(SequenceEvent::Token));
        }
        // 80 ms of prefill and 20 steps of 6 ms, halved; the last grain may come early.
        assert!(began.elapsed() >= Duration::from_millis(90), "{:?}", began.elapsed());
    }
}
