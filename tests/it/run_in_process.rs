//! A whole run with its ranks as threads of this process: the same loops, the same codec, real servers and files.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::{num::NonZeroUsize, thread, time::Duration};

use crate::run_support::Bench;
use bulletin_ocr::{
    comm::InProcess,
    corpus::Inputs,
    model::configuration::Configuration,
    report::RunOutcome,
    run::{RunRequest, run_on},
};

#[test]
fn three_ranks_in_one_process_share_the_pages() {
    let bench = Bench::new();
    let input =
        bench.inputs(&["pages/digital_fr.pdf", "pages/digital_ar.pdf", "pages/scan_fr.pdf", "pages/cover_fr.pdf"]);
    let configuration = std::fs::read_to_string(bench.instant_configuration("in_flight = 1")).unwrap();
    let request = RunRequest {
        program: env!("CARGO_BIN_EXE_bocr").into(),
        inputs: Inputs { paths: vec![input], lists: Vec::new() },
        run_directory: bench.run_directory(),
        home: bench.run_directory(),
        configuration: Configuration::from_toml(&format!("roles = \"chandra\"\n{configuration}")).unwrap(),
        accept_configuration: false,
        reprocess: Vec::new(),
        threads: NonZeroUsize::MIN,
        time_limit: None,
        wait: Duration::ZERO,
        linger: Duration::ZERO,
    };
    let run_rank = |mut transport: InProcess| {
        let request = request.clone();
        thread::spawn(move || run_on(&mut transport, &request))
    };
    let ranks: Vec<_> = InProcess::set(3).into_iter().map(run_rank).collect();
    let mut reports: Vec<_> = ranks.into_iter().map(|rank| rank.join().unwrap().unwrap()).collect();
    let report = reports.remove(0).expect("rank 0 reports");
    assert_eq!(reports, [None, None]);
    assert_eq!((report.outcome, report.ranks, report.left), (RunOutcome::Complete, 3, 0));
    bench.assert_verified();
    assert_eq!(bench.reader().pages().len() as u64, report.pages);
    let servers = std::fs::read(bench.run_directory().join("servers.json")).unwrap();
    let servers: serde_json::Value = serde_json::from_slice(&servers).unwrap();
    assert_eq!(servers.as_array().unwrap().len(), 1, "three like servers are one entry: {servers:#}");
    assert_eq!(
        (&servers[0]["engine"], servers[0]["capabilities"]["model"].as_str()),
        (&"chandra".into(), Some("chandra"))
    );
    assert_eq!(servers[0]["capabilities"]["metrics"].as_array().unwrap().len(), 6);
}
