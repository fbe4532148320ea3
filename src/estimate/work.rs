//! The GPU time of a run: the cost of a page, times the number of pages.

use serde::Serialize;

use super::{Earlier, PageCost};
use gpu_model::GpuModel;

use crate::model::{Engine, EngineNames};

/// The work of one engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct EngineWork {
    /// Number of pages.
    pub pages: f64,
    /// Seconds of one GPU for a page.
    pub seconds_per_page: f64,
}

impl EngineWork {
    /// Seconds of one GPU for all pages.
    pub fn seconds(self) -> f64 {
        self.pages * self.seconds_per_page
    }
}

/// The work of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Work {
    /// Whether the figures come from earlier runs; otherwise they are published or measured figures of a GPU.
    pub from_reports: bool,
    /// Names of the engines, in the order of the stages.
    pub engines: EngineNames,
    /// Work of the first engine: stage 1.
    pub first: EngineWork,
    /// Work of the later engines, stage 2: the pages that fail in stage 1, each read once. All later engines are counted
    /// as one. None where there is one engine only.
    pub later: EngineWork,
    /// Prompt tokens of a page in stage 1.
    pub prompt_tokens: f64,
    /// Generated tokens of a page in stage 1.
    pub generated_tokens: f64,
    /// Seconds from the start of a server to its readiness.
    pub server_start: f64,
    /// Seconds at the end of the run in which servers have too few pages to be busy.
    pub tail: f64,
    /// Factors of the estimated time at best and at worst.
    pub range: (f64, f64),
    /// The sources of the figures, one line each.
    pub sources: Vec<String>,
}

/// Share of pages that fail in stage 1, if no report gives it (`docs/facts/h200.md`, "Patterns of a client": 3 % of
/// pages loop).
const FAILED_SHARE: f64 = 0.03;
/// Seconds of a GPU for a page of DeepSeek-OCR: 200,000 pages a day on one A100-40G (`docs/facts/deepseek.md`,
/// "Published figures").
const DEEPSEEK_PAGE: f64 = 86_400.0 / 200_000.0;
/// Seconds to start a vLLM server: 114 and 140 measured (`docs/facts/h200.md`, "Start, sleep and wake-up").
const SERVER_START: f64 = 140.0;
/// Seconds in which the last pages are read: the P95 of a page at 64 in flight (`docs/facts/h200.md`, "Patterns of a
/// client").
const TAIL: f64 = 52.0;
/// The cluster may have another GPU and model than the measured ones. Chandra 2 is published as twice as fast as the
/// measured model, which has the shape of Chandra 1 (`docs/facts/chandra.md`, "Throughput"). Other cards have half the
/// speed of an H200.
const RANGE_OF_FIGURES: (f64, f64) = (0.5, 2.0);
/// For other pages of the same corpus on the same servers. Assumed.
const RANGE_OF_REPORTS: (f64, f64) = (0.75, 1.5);

impl Work {
    /// The work of `pages` pages of this cost, blank pages included. `attempts` is the number of attempts of a page in
    /// stage 1.
    pub fn of(pages: u64, cost: &PageCost, attempts: u32, earlier: &Earlier, engines: &EngineNames) -> Work {
        let inked = pages as f64 * (1.0 - cost.blank_share);
        let work = if earlier.has_figures() {
            from_reports(inked, cost, earlier)
        } else {
            from_figures(inked, cost, attempts)
        };
        let has_later = engines.names().len() > 1;
        let later = if has_later { work.later } else { EngineWork { pages: 0.0, ..work.later } };
        let mut sources = work.sources;
        if engines.names().len() > 2 {
            let names = engines.text(engines.all().without(Engine::FIRST), ", ");
            sources.push(format!(
                "stage 2: {names} are counted as one engine, which reads each page that fails on stage 1 once; what an \
                 engine after the second reads in addition is not counted"
            ));
        }
        Work { later, sources, engines: engines.clone(), ..work }
    }

    /// The first engine and the later ones by their names, with the work of each.
    pub fn by_name(&self) -> impl Iterator<Item = (String, EngineWork)> {
        let later = self.engines.all().without(Engine::FIRST);
        let first = (self.engines[Engine::FIRST].to_string(), self.first);
        [first].into_iter().chain((!later.is_empty()).then(|| (self.engines.text(later, ", "), self.later)))
    }

    /// Seconds of one GPU for both stages.
    pub fn seconds(&self) -> f64 {
        self.first.seconds() + self.later.seconds()
    }

    /// Share of the second stage in all work, 0.0..=1.0.
    pub fn second_share(&self) -> f64 {
        if self.seconds() > 0.0 { self.later.seconds() / self.seconds() } else { 0.0 }
    }
}

fn from_reports(inked: f64, cost: &PageCost, earlier: &Earlier) -> Work {
    let Earlier { pages, ready, requests, prompt_tokens, .. } = *earlier;
    // The seconds of a page already include retries and parts, so the factor compares single images.
    let longer = cost.prompt_tokens / cost.images.max(1e-9) / (prompt_tokens / requests);
    let longer = if longer > 0.0 { longer } else { 1.0 };
    let failed_share = earlier.failed_first / pages;
    let measured = earlier.failed_first >= 1.0 && earlier.second_busy > 0.0;
    let second = if measured { earlier.second_busy / earlier.failed_first } else { DEEPSEEK_PAGE };
    let files: Vec<_> = earlier.reports.iter().map(|path| path.display().to_string()).collect();
    let mut sources = vec![
        format!("earlier runs: {}", files.join(", ")),
        format!(
            "stage 1: {:.2} pages/s on a ready server, busy {:.0} % of its time; images of this corpus have \
             {longer:.2} times the prompt tokens",
            pages / ready,
            100.0 * earlier.busy / ready
        ),
        format!("stage 2: {:.1} % of pages failed on stage 1 there", 100.0 * failed_share),
    ];
    if !measured {
        sources.push(deepseek_source());
    }
    Work {
        from_reports: true,
        engines: EngineNames::default(),
        first: EngineWork { pages: inked, seconds_per_page: ready / pages * longer },
        later: EngineWork { pages: inked * failed_share, seconds_per_page: second },
        prompt_tokens: prompt_tokens / pages * longer,
        generated_tokens: earlier.generated_tokens / pages,
        server_start: earlier.starting / earlier.servers.max(1.0),
        tail: 0.0,
        range: RANGE_OF_REPORTS,
        sources,
    }
}

fn from_figures(inked: f64, cost: &PageCost, attempts: u32) -> Work {
    let GpuModel { per_prompt_token, per_sequence, .. } = GpuModel::default();
    let once = cost.prompt_tokens * per_prompt_token.as_secs_f64() + cost.generated_tokens * per_sequence.as_secs_f64();
    let retries = FAILED_SHARE * f64::from(attempts.saturating_sub(1));
    Work {
        from_reports: false,
        engines: EngineNames::default(),
        first: EngineWork { pages: inked, seconds_per_page: once * (1.0 + retries) },
        later: EngineWork { pages: inked * FAILED_SHARE, seconds_per_page: DEEPSEEK_PAGE },
        prompt_tokens: cost.prompt_tokens,
        generated_tokens: cost.generated_tokens,
        server_start: SERVER_START,
        tail: TAIL,
        range: RANGE_OF_FIGURES,
        sources: vec![
            format!(
                "ESTIMATE, no earlier run with figures: an H200 with a model of Chandra 1's shape took {} us for a \
                 prompt token and {} us for a generated token (1.87 pages/s at 4,014 and 1,267 tokens, vLLM 0.26.0); \
                 another card or model has another speed",
                per_prompt_token.as_micros(),
                per_sequence.as_micros()
            ),
            format!(
                "stage 2: {:.0} % of pages are assumed to fail on stage 1, each after {attempts} attempts there",
                100.0 * FAILED_SHARE
            ),
            deepseek_source(),
            format!("a server is assumed to start in {SERVER_START} s (114 and 140 s measured on an H200)"),
        ],
    }
}

fn deepseek_source() -> String {
    format!(
        "a page is assumed to take {DEEPSEEK_PAGE:.2} s on a later engine, whichever it is: DeepSeek-OCR's 200,000 a day, \
         published for one A100-40G"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(prompt_tokens: f64, generated_tokens: f64) -> PageCost {
        PageCost { sampled: 64, images: 1.0, prompt_tokens, generated_tokens, ..PageCost::default() }
    }

    #[test]
    fn the_measured_page_takes_the_measured_time() {
        let work = Work::of(1000, &cost(4014.0, 1267.0), 1, &Earlier::default(), &EngineNames::default());
        assert!((1.0 / work.first.seconds_per_page - 1.87).abs() < 0.01, "{work:?}");
        assert_eq!((work.later.pages, work.from_reports), (30.0, false));
        let blank = Work::of(
            1000,
            &PageCost { blank_share: 0.5, ..cost(4014.0, 1267.0) },
            3,
            &Earlier::default(),
            &EngineNames::default(),
        );
        assert_eq!(blank.first.pages, 500.0);
        assert!((blank.first.seconds_per_page / work.first.seconds_per_page - 1.06).abs() < 1e-9);
    }

    #[test]
    fn an_earlier_run_wins_and_is_scaled_by_the_size_of_images() {
        let earlier = Earlier {
            pages: 100.0,
            failed_first: 5.0,
            ready: 50.0,
            busy: 45.0,
            requests: 120.0,
            prompt_tokens: 120.0 * 2000.0,
            generated_tokens: 100_000.0,
            second_busy: 10.0,
            starting: 20.0,
            servers: 2.0,
            ..Earlier::default()
        };
        let same = Work::of(200, &cost(2000.0, 9.0), 3, &earlier, &EngineNames::default());
        assert_eq!((same.first.seconds(), same.generated_tokens, same.server_start), (100.0, 1000.0, 10.0));
        assert_eq!((same.later.pages, same.later.seconds_per_page), (10.0, 2.0));
        assert!((same.second_share() - 20.0 / 120.0).abs() < 1e-9);
        let larger = Work::of(200, &cost(4000.0, 9.0), 3, &earlier, &EngineNames::default());
        assert_eq!(larger.first.seconds(), 200.0);
    }

    #[test]
    fn it_says_that_engines_after_the_first_are_counted_as_one() {
        let work = |names: &[&str]| {
            let names = EngineNames::new(names.iter().map(|name| name.parse().unwrap()).collect()).unwrap();
            Work::of(100, &cost(4014.0, 1267.0), 1, &Earlier::default(), &names)
        };
        let (two, three) = (work(&["a", "b"]), work(&["a", "b", "c"]));
        let says = |work: &Work| work.sources.iter().any(|source| source.contains("b, c are counted as one engine"));
        assert!(says(&three) && !says(&two), "{:?}", three.sources);
        assert_eq!(three.later, two.later);
    }

    #[test]
    fn nothing_to_read_is_no_work() {
        let work = Work::of(0, &PageCost::default(), 3, &Earlier::default(), &EngineNames::default());
        assert_eq!((work.seconds(), work.second_share()), (0.0, 0.0));
    }
}
