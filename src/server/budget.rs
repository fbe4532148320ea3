//! How many starts of a server may fail before its engine is given up.

use std::time::Duration;

/// Counts the starts in a row that failed or ended early. At [`StartBudget::STARTS`] the engine is given up.
#[derive(Debug, Default)]
pub(super) struct StartBudget {
    spent: u32,
}

impl StartBudget {
    pub(super) const STARTS: u32 = 5;
    /// A server that was ready for this long counts as a good start: the count begins again at 0.
    const HEALTHY_LIFE: Duration = Duration::from_secs(600);

    /// The pause before the next start, after a start whose server was ready for `life`; `None` once the budget is
    /// spent. The first death of a server that had been ready needs no pause: its start was most likely not at fault.
    pub(super) fn after(&mut self, life: Duration) -> Option<Duration> {
        if life >= Self::HEALTHY_LIFE {
            self.spent = 0;
        }
        self.spent += 1;
        let pause = match self.spent {
            1 if life > Duration::ZERO => Duration::ZERO,
            spent => Duration::from_millis(500) * 2u32.pow(spent - 1),
        };
        (self.spent < Self::STARTS).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_spent_by_early_deaths_and_refilled_by_a_long_life() {
        let mut budget = StartBudget::default();
        let early = Duration::from_secs(20);
        let pauses: Vec<_> = (0..4).map(|_| budget.after(early).unwrap().as_millis()).collect();
        assert_eq!(pauses, [0, 1000, 2000, 4000]);
        for _ in 0..20 {
            assert_eq!(budget.after(StartBudget::HEALTHY_LIFE), Some(Duration::ZERO));
        }
        assert_eq!(StartBudget::default().after(Duration::ZERO), Some(Duration::from_millis(500)), "a false start");
        assert!((0..3).all(|_| budget.after(early).is_some()));
        assert_eq!(budget.after(Duration::ZERO), None);
    }
}
