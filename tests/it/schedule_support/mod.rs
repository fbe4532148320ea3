//! What stories of the scheduler are told with.

#![allow(dead_code, clippy::unwrap_used, reason = "each story tells a part; a test that cannot go on fails")]

use crate::engines;
use std::time::Duration;

use bulletin_ocr::{
    model::{
        Attempt, AttemptOutcome, DocumentId, EngineSet, FailureClass, LeaseId, MachineFault, Outcome, PageIndex,
        PageRef, PixelSize, RankId, Remedy, Sampling, ServedBy, ServerKind, Settlement, Shown, Stage, TokenUsage, Unit,
        Verdict,
    },
    schedule::{Action, Event, Policy, Restored, Scheduler, Tick},
};

/// A scheduler, its clock, and the actions it has asked for that the story has not looked at.
pub struct Story {
    pub scheduler: Scheduler,
    pub now: Duration,
    pub actions: Vec<Action>,
}

/// The rank of most stories.
pub const CHANDRA: RankId = RankId(0);

impl Story {
    pub fn begin(ranks: u32, page_counts: &[u32]) -> Self {
        Self::resume(policy(ranks), page_counts, Vec::new())
    }

    pub fn resume(policy: Policy, page_counts: &[u32], restored: Vec<Restored>) -> Self {
        let scheduler = Scheduler::new(policy, page_counts, restored, LeaseId(100));
        Story { scheduler, now: Duration::ZERO, actions: Vec::new() }
    }

    pub fn happens(&mut self, event: Event) {
        self.now += Duration::from_millis(100);
        self.scheduler.step(Tick(self.now), event, &mut self.actions);
        self.scheduler.check_invariants().unwrap();
    }

    pub fn joins(&mut self, rank: RankId, role: &str, credits: u32) {
        let role = engines::role(role);
        self.happens(Event::RankJoined { rank, role, credits });
        for engine in role.first().iter() {
            self.happens(Event::EngineReady { rank, engine });
        }
    }

    /// The units dealt since the last look; nothing else may have been asked for.
    pub fn units(&mut self) -> Vec<(RankId, Unit)> {
        self.actions
            .drain(..)
            .map(|action| match action {
                Action::Assign { rank, unit, .. } => (rank, unit),
                other => panic!("expected only assignments, got {other:?}"),
            })
            .collect()
    }

    pub fn settles(&mut self, rank: RankId, unit: Unit, page: PageRef, verdict: Verdict) {
        let fails_on_chandra = matches!(verdict, Verdict::Failed(class) if class.remedy() != Remedy::Operator)
            && unit.engine == engines::CHANDRA;
        self.settles_with(rank, unit, page, verdict, if fails_on_chandra { "deepseek" } else { "" });
    }

    /// With these engines remaining for the page.
    pub fn settles_with(&mut self, rank: RankId, unit: Unit, page: PageRef, verdict: Verdict, remaining: &str) {
        let remaining = engines::set(remaining);
        let (lease, engine) = (unit.lease, Some(unit.engine));
        let settlement = Settlement { page, lease, verdict, engine, attempts: Vec::new(), remaining };
        self.happens(Event::Settled { rank, settlement });
    }

    pub fn reads(&mut self, rank: RankId, unit: Unit) {
        for page in unit.pages() {
            self.settles(rank, unit, page, Verdict::Read);
        }
    }

    pub fn returns(&mut self, rank: RankId, unit: Unit, fault: MachineFault) {
        for page in unit.pages() {
            self.happens(Event::Returned { rank, page, lease: unit.lease, fault, attempts: Vec::new(), text: None });
        }
    }

    pub fn assert_finished(&mut self, outcome: Outcome) {
        assert_eq!(self.actions.drain(..).collect::<Vec<_>>(), [Action::Finish { outcome }]);
    }

    pub fn assert_quiet(&self) {
        assert_eq!(self.actions, [], "something was asked for that the story does not expect");
    }
}

/// Of a run without the second engine.
pub fn without_second(ranks: u32) -> Policy {
    Policy { engines: EngineSet::only(engines::CHANDRA), ..policy(ranks) }
}

pub fn policy(ranks: u32) -> Policy {
    Policy {
        ranks,
        engines: engines::BOTH,
        unit_pages: 4,
        deadline: None,
        drain: Duration::ZERO,
        turn_cost: Duration::from_secs(180),
        silence_limit: None,
        lease_floor: Duration::from_secs(3600),
        races: false,
    }
}

pub fn seconds(seconds: u64) -> Tick {
    Tick(Duration::from_secs(seconds))
}

pub fn page(document: u32, number: u32) -> PageRef {
    PageRef { document: DocumentId(document), page: PageIndex::from_number(number).unwrap() }
}

pub fn attempt() -> Attempt {
    Attempt {
        served_by: ServedBy {
            engine: engines::name(engines::CHANDRA),
            server: ServerKind::Model,
            profile: "chandra-2".into(),
            model: "chandra".into(),
            version: "0.17.0".into(),
            dialect: "divs".into(),
            prompt_sha256: String::new(),
            request: "{}".into(),
        },
        rank: CHANDRA,
        stage: Stage::FIRST,
        shown: Shown::whole(PixelSize { width: 1600, height: 2240 }),
        request_id: "BO_1.p1.l1.a1.whole".into(),
        outcome: AttemptOutcome::Failed(FailureClass::Loop),
        finish: None,
        step: 0,
        sampling: Sampling { temperature: 0.0, top_p: 0.1 },
        salted: false,
        repeats: 0,
        max_tokens: 12_384,
        tokens: TokenUsage::default(),
        started_unix_ms: 0,
        time_to_first_token: None,
        duration: Duration::ZERO,
        kept_characters: 0,
        reason: "7 copies".into(),
        answer: String::new(),
    }
}
