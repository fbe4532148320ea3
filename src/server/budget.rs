//! How many starts of a server may fail before its engine is given up.

use std::time::Duration;

use super::requests::DeathEvidence;

/// Counts the starts in a row that failed or ended early, and those that died without an answer.
#[derive(Debug, Default)]
pub struct StartBudget {
    /// Starts in a row that failed or ended early, less those that were explained since.
    early: u32,
    /// Starts in a row that died with the first pages.
    unanswered: u32,
    /// Some start has answered a page.
    has_answered: bool,
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
            DeathEvidence::OnlySuspectsInFlight => {
                // A page among them is likely to be to blame for an earlier death, too.
                self.early = self.early.saturating_sub(1);
                return Ok(Duration::ZERO);
            }
            DeathEvidence::SuspectsInFlight { answered: false } if self.has_answered => return Ok(Duration::ZERO),
            DeathEvidence::AnsweredNone if self.has_answered => {}
            DeathEvidence::AnsweredNone
            | DeathEvidence::AnsweredNotOne
            | DeathEvidence::SuspectsInFlight { answered: false } => {
                self.unanswered += 1;
                let spent = self.unanswered >= Self::UNANSWERED;
                return if spent { Err(Spent::Unanswered) } else { Ok(pause(self.unanswered)) };
            }
            DeathEvidence::SuspectsInFlight { answered: true } => {
                (self.unanswered, self.has_answered) = (0, true);
                return Ok(Duration::ZERO);
            }
            DeathEvidence::Answered => (self.unanswered, self.has_answered) = (0, true),
            DeathEvidence::NothingAsked => {}
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

    /// One after the other; whether the budget is spent at the end.
    fn spends(deaths: &[DeathEvidence]) -> Option<Spent> {
        let mut budget = StartBudget::default();
        deaths.iter().find_map(|death| budget.after(EARLY, *death).err())
    }

    #[test]
    fn a_server_that_dies_with_the_first_pages_is_given_up() {
        use DeathEvidence::{Answered, AnsweredNone, AnsweredNotOne, OnlySuspectsInFlight};
        for none in [AnsweredNone, AnsweredNotOne] {
            assert_eq!(spends(&[none; 2]), None);
            assert_eq!(spends(&[none; 3]), Some(Spent::Unanswered));
        }
        // Once it has answered pages, several in flight may be at fault, and one that is no suspect is not.
        assert_eq!(spends(&[Answered, AnsweredNone, AnsweredNone, AnsweredNone]), None);
        assert_eq!(spends(&[Answered, AnsweredNotOne, AnsweredNotOne, AnsweredNotOne]), Some(Spent::Unanswered));
        // Suspects in isolation show neither that it reads pages nor that it reads none.
        assert_eq!(
            spends(&[AnsweredNotOne, OnlySuspectsInFlight, AnsweredNotOne, AnsweredNotOne]),
            Some(Spent::Unanswered)
        );
    }

    /// A page that kills costs a death that counts, and at least two in isolation.
    #[test]
    fn pages_that_kill_do_not_cost_a_rank_its_engine() {
        use DeathEvidence::{Answered, OnlySuspectsInFlight, SuspectsInFlight};
        let again = SuspectsInFlight { answered: false };
        let one = [Answered, again, OnlySuspectsInFlight, OnlySuspectsInFlight];
        assert_eq!(spends(&one.repeat(20)), None);
    }
}
