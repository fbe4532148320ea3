//! One number in flight, measured.

use super::{cost_model::CostModel, observation::Work};

/// Length of a block.
const BLOCK_SECONDS: f64 = 4.0;
/// Pages that are neither in nor out of a measurement at its edges.
const EDGE_PAGES: f64 = 0.4;

/// What was measured at one number in flight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OperatingPoint {
    work: Work,
    /// Of the seconds of `work`, in seconds squared.
    variance: f64,
}

impl OperatingPoint {
    /// Seconds of a page of this many tokens at this level.
    pub(crate) fn seconds_of(&self, (prompt, generated): (f64, f64), costs: &CostModel) -> f64 {
        let of_prompt = costs.of_prompt_token();
        of_prompt * prompt + generated * self.work.seconds_of_generated_token(of_prompt)
    }

    /// Standard error of that time, as a share of it.
    pub(crate) fn error(&self) -> f64 {
        (self.variance.sqrt() / self.work.seconds).hypot(EDGE_PAGES / self.work.finished)
    }

    /// Generated tokens for each prompt token.
    pub(crate) fn mix(&self) -> f64 {
        self.work.generated / self.work.prompt.max(1.0)
    }

    /// Both measurements, the earlier one counting for `fade` of what it was.
    pub(crate) fn after(self, earlier: OperatingPoint, fade: f64) -> OperatingPoint {
        OperatingPoint {
            work: earlier.work.times(fade).plus(self.work),
            variance: earlier.variance * fade + self.variance,
        }
    }
}

/// A measurement under way, in blocks of some seconds: their differences say how sure it is.
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

    /// Of the seconds that the tokens do not explain. What one block lacks because a prefill is under way at its end, the
    /// next one has: neighbours are counted together (Newey and West, one lag).
    fn variance(&self, of_prompt: f64, of_generated: f64) -> f64 {
        let rest = |block: &Work| block.seconds - of_prompt * block.prompt - of_generated * block.generated;
        let rests: Vec<f64> = self.blocks.iter().map(rest).collect();
        let own: f64 = rests.iter().map(|rest| rest * rest).sum();
        let shared: f64 = rests.windows(2).map(|pair| pair[0] * pair[1]).sum();
        (own + 2.0 * shared).max(0.1 * own)
    }
}
