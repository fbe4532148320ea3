//! Processes of a run are killed, one kind after the other.

use std::fs;

use oorandom::Rand32;
use rustix::process::Signal;

use crate::{
    fault_matrix::row::{Corpus, Row, ended, signal, time_until},
    run_support::until,
};

#[test]
fn row_server_killed() {
    let row = Row::with("kill -9 of a server", Corpus::Large, "", &["--time-scale", "0.02"]);
    let mut run = row.start(&[]);
    row.until_settled(5);
    for round in 1..=2 {
        let servers = row.servers();
        servers.iter().for_each(|server| signal(*server, Signal::KILL));
        let before = row.settled();
        let again =
            time_until("the next page is settled", || row.settled() > before + 8 || row.bench.processes().is_empty());
        println!("{round}: eight more pages {again:?} after the death of server {servers:?}");
    }
    assert_eq!(ended(&mut run), Some(0), "{}", row.bench.log(0));
    row.check();
}

#[test]
fn row_guard_killed() {
    let row = Row::new("kill -9 of a server's guard");
    let mut run = row.start(&[]);
    row.until_settled(5);
    row.processes(&[" guard "]).into_iter().for_each(|guard| signal(guard, Signal::KILL));
    assert_eq!(ended(&mut run), Some(0), "{}", row.bench.log(0));
    row.check();
}

#[test]
fn row_renderer_killed() {
    let row = Row::new("kill -9 of renderers");
    let mut run = row.start(&[]);
    for settled in [1, 3, 6, 9] {
        row.until_settled(settled);
        row.processes(&[" render-child "]).into_iter().for_each(|child| signal(child, Signal::KILL));
    }
    assert_eq!(ended(&mut run), Some(0), "{}", row.bench.log(0));
    row.check();
}

#[test]
fn row_whole_tree_killed() {
    let row = Row::with("kill -9 of the whole tree, 20 moments", Corpus::Large, "", &["--time-scale", "0.3"]);
    let mut random = Rand32::new(3);
    let (mut kills, mut most) = (0, 0);
    while kills < 20 {
        let mut run = row.start(&[]);
        let moment = std::time::Duration::from_millis(u64::from(random.rand_range(0..1800)));
        let begin = std::time::Instant::now();
        until("the moment has come", || begin.elapsed() >= moment || run.0.try_wait().unwrap().is_some());
        if run.0.try_wait().unwrap().is_some() {
            // Done before its moment: what it read is to be read again.
            fs::rename(row.bench.run_directory(), row.bench.path(&format!("done-{kills}"))).unwrap();
            most = 0;
            continue;
        }
        kills += 1;
        until("the whole tree is dead", || {
            let tree = row.bench.marked_processes();
            tree.iter().for_each(|(process, _)| signal(*process, Signal::KILL));
            tree.is_empty()
        });
        run.0.wait().unwrap();
        // What the status file had called settled was on the disk: the next start must know it.
        most = most.max(row.settled());
    }
    let restored = most;
    let output = row.command(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", crate::run_support::text(&output));
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(row.bench.run_directory().join("report.json")).unwrap()).unwrap();
    assert!(report["restored"].as_u64().unwrap() >= restored, "{report} after {restored} settled pages");
    row.check();
}
