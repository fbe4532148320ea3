//! An operating point: a limit with its measured cost.

use super::{cost_model::CostModel, observation::Work};

/// Length of a block of a measurement.
const BLOCK_SECONDS: f64 = 4.0;
/// Pages at the edges that count neither in nor out of a measurement.
const EDGE_PAGES: f64 = 0.4;

/// The measurement at one limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OperatingPoint {
    work: Work,
    /// Variance of the seconds of `work`, in seconds squared.
    variance: f64,
}

impl OperatingPoint {
    /// Seconds of a page with these numbers of prompt and generated tokens.
    pub(crate) fn seconds_of(&self, (prompt, generated): (f64, f64), costs: &CostModel) -> f64 {
        let of_prompt = costs.of_prompt_token();
        of_prompt * prompt + generated * self.work.seconds_of_generated_token(of_prompt)
    }

    /// Standard error of that time, as a share of it.
    pub(crate) fn error(&self) -> f64 {
        (self.variance.sqrt() / self.work.seconds).hypot(EDGE_PAGES / self.work.finished)
    }

    /// Generated tokens per prompt token.
    pub(crate) fn mix(&self) -> f64 {
        self.work.generated / self.work.prompt.max(1.0)
    }

    /// Both measurements together. The earlier one counts with the weight `fade`.
    pub(crate) fn after(self, earlier: OperatingPoint, fade: f64) -> OperatingPoint {
        OperatingPoint {
            work: earlier.work.times(fade).plus(self.work),
            variance: earlier.variance * fade + self.variance,
        }
    }
}

/// A measurement in progress, in blocks of some seconds. The differences between blocks give its error.
#[derive(Debug, Default)]
pub(crate) struct Measurement {
    blocks: Vec<Work>,
    open: Work,
}

impl Measurement {
    pub(crate) fn add(&mut self, work: Work) {
        self.open = self.open.plus(work);
        if self.open.seconds >= BLOCK_SECONDS {
            self.blocks.push(std::mem::take(&mut self.open));
        }
    }

    pub(crate) fn total(&self) -> Work {
        self.blocks.iter().fold(self.open, |sum, block| sum.plus(*block))
    }

    pub(crate) fn level(&self, costs: &CostModel) -> OperatingPoint {
        let work = self.total();
        let of_prompt = costs.of_prompt_token();
        OperatingPoint { work, variance: self.variance(of_prompt, work.seconds_of_generated_token(of_prompt)) }
    }

    /// Variance of the seconds that the tokens do not explain. A prefill that spans two blocks takes from one what it
    /// adds to the next: neighbours are counted together (Newey and West, one lag).
    fn variance(&self, of_prompt: f64, of_generated: f64) -> f64 {
        let rest = |block: &Work| block.seconds - of_prompt * block.prompt - of_generated * block.generated;
        let rests: Vec<f64> = self.blocks.iter().map(rest).collect();
        let own: f64 = rests.iter().map(|rest| rest * rest).sum();
        let shared: f64 = rests.windows(2).map(|pair| pair[0] * pair[1]).sum();
        (own + 2.0 * shared).max(0.1 * own)
    }
}
