//! The cost model: the server time of a prompt token, separated from that of a generated token.
//!
//! Few pages finish in a minute, and the number of prompts that happen to fall into it changes the count of pages or
//! tokens by far more than the differences that matter. Seconds of work are comparable: a least-squares fit of
//! `seconds = a × prompt tokens + c × generated tokens` over short windows, some with many prompts and some with few.

use std::collections::VecDeque;

use super::observation::Work;

/// Number of windows kept.
const WINDOWS: usize = 60;
/// Minimum length of a window: the work cut at its edges is then a small share of it.
const WINDOW_SECONDS: f64 = 8.0;
/// Cost of a prompt token in generated tokens before enough was seen (80 µs against 190 µs on an H200:
/// `docs/facts/h200.md`, "Patterns of a client"), and its weight in windows.
const PRIOR_RATIO: f64 = 0.4;
const PRIOR_WINDOWS: f64 = 0.5;

/// The fit over the latest windows.
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

    /// Drops the unfinished window.
    pub(crate) fn discard_window(&mut self) {
        self.open = Work::default();
    }

    /// Forgets everything: the server has changed.
    pub(crate) fn reset(&mut self) {
        *self = CostModel::default();
    }

    /// Prompt and generated tokens of a recent mean page.
    pub(crate) fn mean_page(&self) -> Option<(f64, f64)> {
        let sum = self.windows.iter().rev().take(15).fold(self.open, |sum, work| sum.plus(*work));
        (sum.finished > 0.0 && sum.generated > 0.0).then(|| (sum.prompt / sum.finished, sum.generated / sum.finished))
    }

    /// Seconds per prompt token.
    pub(crate) fn of_prompt_token(&self) -> f64 {
        let count = self.windows.len() as f64;
        let sum = self.windows.iter().fold(Work::default(), |sum, work| sum.plus(*work));
        if count == 0.0 || sum.generated == 0.0 {
            return 0.0;
        }
        // The prior is a row of the fit: prompt × (a - ratio × c) = 0.
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
