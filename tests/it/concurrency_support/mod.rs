//! Servers in virtual time whose knee is known: the smallest fixed number in flight with at least 0.98 of the best fixed
//! throughput.

use std::time::Duration;

use bulletin_ocr::{
    concurrency::Bounds,
    simulate::{Pages, Server},
};
use gpu_model::GpuModel;

/// A server with a knee.
#[derive(Debug, Clone)]
pub struct Knee {
    /// Where, of the fixed numbers that were tried.
    pub knee: u32,
    /// The server.
    pub server: Server,
    /// Where the controller begins, and its ceiling.
    pub bounds: Bounds,
}

/// A GPU with these times, in microseconds.
pub fn gpu(floor: u64, per_sequence: u64, per_prompt_token: u64, max_num_seqs: usize) -> GpuModel {
    GpuModel {
        floor: Duration::from_micros(floor),
        per_sequence: Duration::from_micros(per_sequence),
        per_prompt_token: Duration::from_micros(per_prompt_token),
        max_num_seqs,
        kv_tokens: 1_600_000,
        ..GpuModel::default()
    }
}

/// Servers whose knee is at about 8, 32, 64 and 128; every controller begins at 64, as Chandra's profiles do.
pub fn knees() -> Vec<Knee> {
    let of = |knee, gpu| Knee {
        knee,
        server: Server { gpu, ..Server::default() },
        bounds: Bounds { start: 64, ceiling: 256 },
    };
    vec![
        of(8, gpu(6000, 750, 80, 256)),
        of(36, gpu(6000, 170, 80, 256)),
        of(72, gpu(12_000, 170, 80, 256)),
        of(144, gpu(12_000, 85, 40, 256)),
    ]
}

/// Long answers to small images: decoding is the limit.
pub fn long_answers() -> Pages {
    Pages { prompt: 900, median: 1800.0, ..Pages::default() }
}
