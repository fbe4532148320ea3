//! What a prompt token costs the server in time, told apart from what a generated one costs.
//!
//! The pages of a minute are few, and how many prompts happen to fall into it sways the plain number of pages or tokens by
//! far more than the differences that matter. In seconds of work the minute comes out the same: a least-squares fit of
//! `seconds = a × prompt tokens + c × generated tokens` over short windows, of which some have many prompts and others few.

use std::collections::VecDeque;

use super::observation::Work;

/// Windows that are remembered.
const WINDOWS: usize = 60;
/// A window has at least this long, and this many prompts: what is under way at its edges must be little of it.
const WINDOW_SECONDS: f64 = 8.0;
/// Cost of a prompt token in generated ones, where too little was seen (80 µs against 190 µs on an H200:
/// `docs/facts/h200.md`, "Patterns of a client"), and how many windows that is worth.
const PRIOR_RATIO: f64 = 0.4;
const PRIOR_WINDOWS: f64 = 0.5;

/// The fit.
#[derive(Debug, Default)]
pub(crate) struct CostModel {
    windows: VecDeque<Work>,
    open: Work,
}

impl CostModel {
    pub(crate) fn add(&mut self, work: Work) {
        self.open = self.open.plus(work);
        if self.open.seconds >= WINDOW_SECONDS {
            self.windows.push_back(std::mem::take(&mut self.open));
            if self.windows.len() > WINDOWS {
                self.windows.pop_front();
            }
        }
    }

    /// What is under way is no whole window.
    pub(crate) fn discard_window(&mut self) {
        self.open = Work::default();
    }

    /// The server is another one, or as good as.
    pub(crate) fn reset(&mut self) {
        *self = CostModel::default();
    }

    /// Prompt and generated tokens of a page, lately.
    pub(crate) fn mean_page(&self) -> Option<(f64, f64)> {
        let sum = self.windows.iter().rev().take(15).fold(self.open, |sum, work| sum.plus(*work));
        (sum.finished > 0.0 && sum.generated > 0.0).then(|| (sum.prompt / sum.finished, sum.generated / sum.finished))
    }

    /// Seconds of a prompt token.
    pub(crate) fn of_prompt_token(&self) -> f64 {
        let count = self.windows.len() as f64;
        let sum = self.windows.iter().fold(Work::default(), |sum, work| sum.plus(*work));
        if count == 0.0 || sum.generated == 0.0 {
            return 0.0;
        }
        // The prior is a row: prompt × (a - ratio × c) = 0.
        let weight = PRIOR_WINDOWS * (sum.prompt / count).powi(2);
        let (mut pp, mut pg, mut gg) = (weight, -PRIOR_RATIO * weight, PRIOR_RATIO.powi(2) * weight);
        let (mut pt, mut gt) = (0.0, 0.0);
        for window in &self.windows {
            pp += window.prompt * window.prompt;
            pg += window.prompt * window.generated;
            gg += window.generated * window.generated;
            pt += window.prompt * window.seconds;
            gt += window.generated * window.seconds;
        }
        let determinant = pp * gg - pg * pg;
        if determinant <= 0.0 {
            return 0.0;
        }
        let fitted = (pt * gg - gt * pg) / determinant;
        // Prompts cannot have taken more time than there was.
        fitted.clamp(0.0, 0.95 * sum.seconds / sum.prompt.max(1.0))
    }
}
