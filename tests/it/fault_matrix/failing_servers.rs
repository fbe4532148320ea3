//! Servers that fail every page by their answers, or die with it.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    process::{Child, Stdio},
};

use super::row::{Corpus, Row, ended};
use crate::run_support::{Bench, Killed, SHORT_ANSWERS, until};

const REFUSES_ALL: &str = "[[fault]]\nkind = \"400\"\n";

/// Starts a server that belongs to no rank; its URL.
fn serve(bench: &Bench, servers: &mut Vec<Killed>, time_scale: &str, faults: &str) -> String {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let faults = bench.write(&format!("faults-{}.toml", address.port()), faults);
    let port = address.port().to_string();
    let mut words = vec!["stand-in", "--speak", "chandra", "--mode", "synthetic", "--time-scale", time_scale];
    words.extend(["--port", &port, "--faults", faults.to_str().unwrap()]);
    words.extend(SHORT_ANSWERS);
    let child: Child = bench.bocr(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    servers.push(Killed(child));
    until("the server listens", || TcpStream::connect(address).is_ok());
    format!("http://{address}")
}

/// Starts `bocr run` on two ranks.
fn start_two(row: &Row) -> Killed {
    let words = row.arguments(&[]);
    row.spawn(row.bench.mpirun(2, &words.iter().map(String::as_str).collect::<Vec<_>>()))
}

fn report(row: &Row) -> serde_json::Value {
    serde_json::from_slice(&fs::read(row.bench.run_directory().join("report.json")).unwrap()).unwrap()
}

#[test]
fn row_one_server_refuses_everything() {
    let mut servers = Vec::new();
    let row = Row::with_server("one server refuses everything", Corpus::Large, "", |bench| {
        let urls = [serve(bench, &mut servers, "0.2", ""), serve(bench, &mut servers, "0", REFUSES_ALL)];
        format!("kind = \"url\"\nurls = {urls:?}\n")
    });
    let mut run = start_two(&row);
    assert_eq!(ended(&mut run), Some(0), "{}", row.bench.log(0));
    drop(servers);
    let said = "the chandra server of rank 1 failed pages that other servers read";
    let output = fs::read_to_string(row.bench.path("out")).unwrap();
    assert!(output.contains(said), "{output}");
    let expected = serde_json::json!([{"rank": 1, "engine": "chandra", "end": "given-up"}]);
    assert_eq!(report(&row)["failing_servers"], expected);
    let failed = row.bench.reader().superseded();
    assert!((4..=25).contains(&failed), "{failed} pages were tried on the failing server");
    row.check();
}

#[test]
fn row_one_server_answers_nothing_until_its_restart() {
    let row = Row::with_server("one server answers nothing", Corpus::Large, "", |bench| {
        let faults = bench.write("empty.toml", "[[fault]]\nkind = \"empty\"\n");
        let stand_in = format!(
            "exec '{}' stand-in --speak chandra --mode synthetic --time-scale 0.2 {} --uds \"$1\" --served-name \"$2\"",
            env!("CARGO_BIN_EXE_bocr"),
            SHORT_ANSWERS.join(" "),
        );
        let first = bench.path("first");
        // The first server of all has the fault.
        let script = format!(
            "if mkdir '{}' 2>/dev/null; then {stand_in} --faults '{}'; else {stand_in}; fi\n",
            first.display(),
            faults.display()
        );
        let script = bench.write("serve.sh", &script);
        format!("kind = \"launch\"\ncommand = [\"sh\", {script:?}, \"{{socket}}\", \"{{served_name}}\"]\n")
    });
    let mut run = start_two(&row);
    assert_eq!(ended(&mut run), Some(0), "{}", row.bench.log(0));
    let servers = &report(&row)["failing_servers"];
    assert_eq!((servers.as_array().unwrap().len(), &servers[0]["end"]), (1, &"restarted".into()), "{servers}");
    row.check();
}

#[test]
fn row_all_servers_refuse_everything() {
    let row = Row::with("all servers refuse everything", Corpus::Large, "", &["--time-scale", "0.02"]);
    let mut run = row.start_with_faults(REFUSES_ALL);
    assert_eq!(ended(&mut run), Some(75), "{}", row.bench.log(0));
    let output = fs::read_to_string(row.bench.path("out")).unwrap();
    for said in ["every chandra server fails every page", "rejected", "stopped early"] {
        assert!(output.contains(said), "{said}: {output}");
    }
    let report = report(&row);
    assert_eq!((&report["failed"], &report["left"]), (&serde_json::json!({}), &report["pages"]));
    let faults = row.bench.write("faults.toml", "");
    row.finish(&["--faults", faults.to_str().unwrap()]);
}

#[test]
fn row_engine_dies_with_every_page() {
    let row = Row::new("engine dies with every page");
    let mut run = row.start_with_faults("[[fault]]\npage = \"*\"\nkind = \"death\"\n");
    assert_eq!(ended(&mut run), Some(75), "{}", row.bench.log(0));
    let log = row.bench.log(0);
    assert!(log.contains("3 starts in a row died with the first pages") && log.contains("the end of its log"), "{log}");
    assert_eq!(log.matches("the server is ready").count(), 3, "{log}");
    let report = report(&row);
    assert_eq!((&report["failed"], &report["left"]), (&serde_json::json!({}), &report["pages"]));
    let faults = row.bench.write("faults.toml", "");
    row.finish(&["--faults", faults.to_str().unwrap()]);
}
