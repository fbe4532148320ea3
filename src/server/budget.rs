//! How many starts of a server may fail before its engine is given up.

use std::time::Duration;

use super::requests::DeathEvidence;

/// Counts the starts in a row that failed or ended early, and those that died without an answer.
#[derive(Debug, Default)]
pub struct StartBudget {
    early: u32,
    unanswered: u32,
}

/// The budget is spent: the engine is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Spent {
    /// Too many starts failed or ended early.
    #[error("{} starts in a row failed or ended early", StartBudget::STARTS)]
    Early,
    /// Too many starts died with the first pages.
    #[error(
        "{} starts in a row died with the first pages that they were sent, so the engine is at fault and not the pages",
        StartBudget::UNANSWERED
    )]
    Unanswered,
}

impl StartBudget {
    const STARTS: u32 = 5;
    const UNANSWERED: u32 = 3;
    /// A server that was ready for this long counts as a good start: the count begins again at 0.
    const HEALTHY_LIFE: Duration = Duration::from_secs(600);

    /// The pause before the next start, after a start whose server was ready for `life`. The first death of a server that
    /// had been ready needs no pause: its start was most likely not at fault. A death that a page may be to blame for does
    /// not count.
    ///
    /// # Errors
    /// The budget is spent.
    pub fn after(&mut self, life: Duration, evidence: DeathEvidence) -> Result<Duration, Spent> {
        match evidence {
            DeathEvidence::OnlySuspectsInFlight => return Ok(Duration::ZERO),
            DeathEvidence::AnsweredNothing => {
                self.unanswered += 1;
                return if self.unanswered < Self::UNANSWERED {
                    Ok(pause(self.unanswered))
                } else {
                    Err(Spent::Unanswered)
                };
            }
            DeathEvidence::SuspectsInFlight | DeathEvidence::Answered => self.unanswered = 0,
            DeathEvidence::NothingAsked => {}
        }
        if evidence == DeathEvidence::SuspectsInFlight {
            return Ok(Duration::ZERO);
        }
        if life >= Self::HEALTHY_LIFE {
            self.early = 0;
        }
        self.early += 1;
        match self.early {
            1 if life > Duration::ZERO => Ok(Duration::ZERO),
            Self::STARTS.. => Err(Spent::Early),
            early => Ok(pause(early)),
        }
    }
}

fn pause(starts: u32) -> Duration {
    Duration::from_millis(500) * 2u32.pow(starts - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EARLY: Duration = Duration::from_secs(20);

    #[test]
    fn the_budget_is_spent_by_early_deaths_and_refilled_by_a_long_life() {
        let mut budget = StartBudget::default();
        let mut after = |life| budget.after(life, DeathEvidence::Answered);
        let pauses: Vec<_> = (0..4).map(|_| after(EARLY).unwrap().as_millis()).collect();
        assert_eq!(pauses, [0, 1000, 2000, 4000]);
        for _ in 0..20 {
            assert_eq!(after(StartBudget::HEALTHY_LIFE), Ok(Duration::ZERO));
        }
        assert!((0..3).all(|_| after(EARLY).is_ok()));
        assert_eq!(after(Duration::ZERO), Err(Spent::Early));
        let false_start = StartBudget::default().after(Duration::ZERO, DeathEvidence::NothingAsked);
        assert_eq!(false_start, Ok(Duration::from_millis(500)));
    }

    #[test]
    fn a_server_that_dies_with_every_page_is_given_up_and_one_that_only_suspects_kill_is_not() {
        let mut budget = StartBudget::default();
        let nothing = DeathEvidence::AnsweredNothing;
        let between = [DeathEvidence::Answered, DeathEvidence::SuspectsInFlight, DeathEvidence::OnlySuspectsInFlight];
        for between in between.iter().cycle().take(30) {
            budget.early = 0;
            assert!(budget.after(EARLY, *between).is_ok());
        }
        assert!(budget.after(EARLY, nothing).is_ok() && budget.after(EARLY, nothing).is_ok());
        // Suspects in isolation show neither that it reads pages nor that it reads none.
        assert!(budget.after(EARLY, DeathEvidence::OnlySuspectsInFlight).is_ok());
        assert_eq!(budget.after(EARLY, nothing), Err(Spent::Unanswered));
    }
}
