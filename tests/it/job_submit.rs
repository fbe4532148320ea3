//! `bocr submit` and `bocr follow`, with a qsub and a qstat of each test's own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::job_support::{Ended, LoginNode};
use rustix::process::{Pid, Signal, kill_process};

const RUNNING: &str = "echo '    job_state = R'; echo '    exec_host = n1/0*4+n2/0*4'";

fn ended(status: i32) -> String {
    format!("echo '    job_state = F'; echo '    Exit_status = {status}'")
}

#[test]
fn a_dry_run_shows_the_script_and_writes_nothing() {
    let node = LoginNode::new("home");
    node.job_file("walltime = \"23:30:00\"\nchain = 1", "");
    let shown = node.submit(&["--dry-run", "--nodes", "3", "--walltime", "01:00:00", "--chain", "2"]);
    for line in [
        "#PBS -l select=3:ncpus=4:ngpus=1:mpiprocs=1",
        "#PBS -l place=scatter",
        "#PBS -l walltime=01:00:00",
        "--chain 2",
    ] {
        assert!(shown.succeeds().contains(line), "{line} is not in {shown:?}");
    }
    assert!(!node.path("run").exists() && !node.path("last").exists());
}

#[test]
fn a_job_is_submitted_once_and_its_id_is_kept() {
    let node = LoginNode::new("home");
    node.job_file("", "[[passwords]]\nfile = \"BO_1.pdf\"\npassword = \"sesame\"\n");
    assert!(node.submit(&[]).succeeds().starts_with("1.fake\n"));
    assert_eq!(node.qsub(1), [node.run("job/job.pbs").to_str().unwrap()]);
    assert_eq!(node.jobs(), ["1.fake submitted"]);
    let mode = |name: &str| fs::metadata(node.run(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("job/job.toml"), mode("job/job.pbs") & 0o700), (0o600, 0o700));
    assert!(!fs::read_to_string(node.run("job/job.pbs")).unwrap().contains("sesame"));
    assert!(node.run("job/output").is_dir());

    node.says("1.fake", &[RUNNING]);
    node.submit(&[]).refuses(1, &["job 1.fake of this run is running", "--after", "bocr follow"]);
    assert_eq!(node.jobs().len(), 1);

    node.says("1.fake", &[&ended(75)]);
    node.submit(&[]).succeeds();
    // One that PBS knows no more has ended too.
    node.submit(&[]).succeeds();
    assert_eq!(node.jobs(), ["1.fake submitted", "2.fake submitted", "3.fake submitted"]);
}

#[test]
fn a_job_is_kept_whatever_else_qsub_says() {
    let node = LoginNode::new("home");
    node.job_file("", "");
    fs::write(node.path("says"), "Your project has 100 hours left.\n").unwrap();
    assert!(node.submit(&[]).succeeds().starts_with("1.fake\n"));
    assert_eq!(node.jobs(), ["1.fake submitted"]);
    node.says("1.fake", &[&ended(0)]);
    fs::write(node.path("silent"), "").unwrap();
    node.submit(&[]).refuses(1, &["the job is submitted", "Your project has", "do not submit it again"]);
}

#[test]
fn who_reads_the_answer_may_have_gone() {
    let node = LoginNode::new("home");
    let file = node.job_file("", "");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let told = Ended::of(&node.bocr(&["submit"]).arg(file).stdout(writer).stderr(Stdio::piped()).output().unwrap());
    assert_eq!((told.code, told.told.as_str()), (Some(0), ""));
    assert_eq!(node.jobs(), ["1.fake submitted"]);
}

#[test]
fn a_job_waits_for_those_before_it() {
    let node = LoginNode::new("home");
    node.job_file("", "");
    node.submit(&["--after"]).refuses(2, &["leave out --after"]);
    node.submit(&["--after=none"]).refuses(2, &["not the id of a PBS job"]);
    node.submit(&[]).succeeds();
    node.says("1.fake", &[RUNNING]);
    let second = node.submit(&["--after"]);
    assert!(second.succeeds().contains("begins when 1.fake has ended"), "{second:?}");
    assert_eq!(node.qsub(2)[..2], ["-W", "depend=afterany:1.fake"]);

    node.says("2.fake", &["echo '    job_state = H'"]);
    node.says("77.fake", &["echo '    job_state = Q'"]);
    node.submit(&["--after=77.fake"]).succeeds();
    assert_eq!(node.qsub(3)[1], "depend=afterany:1.fake:2.fake:77.fake");
    assert_eq!(node.jobs(), ["1.fake submitted", "2.fake after 1.fake", "3.fake after 77.fake"]);

    for job in ["1.fake", "2.fake", "77.fake"] {
        node.says(job, &[&ended(0)]);
    }
    node.submit(&["--after=77.fake"]).succeeds();
    assert_eq!(node.qsub(4).len(), 1, "there is nothing to wait for");
}

#[test]
fn a_job_of_several_nodes_goes_on_after_the_loss_of_one_where_pbs_can_do_that() {
    const ASKED: &str = "#PBS -W tolerate_node_failures=all\n";
    let node = LoginNode::new("home");
    let shown = |more: &str| {
        node.job_file(more, "");
        node.submit(&["--dry-run"])
    };
    assert!(shown("nodes = 2").succeeds().contains(ASKED));
    assert!(!shown("").succeeds().contains(ASKED), "one node");
    let own = shown("nodes = 2\noptions = [\"-W tolerate_node_failures=job_start\"]");
    assert!(!own.succeeds().contains(ASKED));
    fs::write(node.path("version"), "pbs_version = 14.2.5.20171012\n").unwrap();
    let old = shown("nodes = 2");
    assert!(!old.succeeds().contains("tolerate") && old.told.is_empty(), "{old:?}");
    fs::write(node.path("version"), "Version: 6.1\n").unwrap();
    let unknown = shown("nodes = 2");
    assert!(!unknown.succeeds().contains("tolerate"));
    assert!(
        unknown.told.contains("the version of PBS is unknown") && unknown.told.contains("`options`"),
        "{unknown:?}"
    );
}

#[test]
fn what_the_run_would_refuse_is_refused_before_the_job_waits() {
    let node = LoginNode::new("home");
    fs::create_dir(node.path("run")).unwrap();
    fs::write(node.run("configuration.toml"), "[schedule]\nunit_pages = 3\n").unwrap();
    node.job_file("", "");
    node.submit(&[]).refuses(2, &["the run would refuse", "schedule.unit_pages", "--accept-config"]);
    node.job_file("arguments = [\"--accept-config\", \"--retyr\", \"failed\"]", "");
    node.submit(&[]).refuses(2, &["[job] arguments", "--retyr"]);
    for key in ["bocr", "mpirun"] {
        node.job_file(&format!("{key} = \"bin/{key}\""), "");
        node.submit(&[]).refuses(2, &[&format!("[job] {key}"), &format!("home/bin/{key}"), "correct the path"]);
    }
    assert!(!node.run("job").exists());
    node.job_file("arguments = [\"--accept-config\"]", "");
    node.submit(&[]).succeeds();
}

#[test]
fn settings_that_a_job_still_reads_are_not_changed_under_it() {
    let node = LoginNode::new("home");
    node.job_file("", "");
    node.submit(&[]).succeeds();
    node.says("1.fake", &[RUNNING]);
    let kept = fs::read_to_string(node.run("job/job.toml")).unwrap();
    node.job_file("", "[store]\nshard = \"1MiB\"\n");
    node.submit(&["--after"]).refuses(1, &["job 1.fake of this run still uses", "job/job.toml"]);
    assert_eq!(fs::read_to_string(node.run("job/job.toml")).unwrap(), kept);
    node.job_file("walltime = \"01:00:00\"", "");
    node.submit(&["--after"]).succeeds();
}

#[test]
fn a_finished_run_is_said_and_submitted_again_on_request() {
    let node = LoginNode::new("home");
    node.job_file("", "");
    fs::create_dir(node.path("run")).unwrap();
    let finished = |code: u8, outcome: &str| {
        let text = format!("{{\"exit_code\":{code},\"outcome\":{outcome},\"again\":false,\"silent_hosts\":[]}}");
        fs::write(node.run("finished.json"), text).unwrap();
    };
    finished(0, "\"complete\"");
    assert!(node.submit(&[]).succeeds().contains("every page is read or blank"));
    finished(3, "\"complete-with-failures\"");
    assert!(node.submit(&[]).succeeds().contains("read those again, add --retry, failed"));
    assert_eq!(node.submit(&["--follow"]).code, Some(3), "the exit code is that of the run");
    assert!(!node.run("job").exists());
    node.submit(&["--again"]).succeeds();
    finished(75, "{\"stopped\":\"deadline\"}");
    node.submit(&[]).succeeds();
    assert_eq!(node.jobs().len(), 2);
}

#[test]
fn where_pbs_does_not_take_the_job_all_is_written_and_the_remedy_is_said() {
    let node = LoginNode::new("home");
    let file = node.job_file("", "");
    let file = file.to_str().unwrap();
    let script = node.run("job/job.pbs");
    let without = Ended::of(&node.bocr_with_path(&["submit", file], "/nowhere").output().unwrap());
    without.refuses(1, &["no qsub", &format!("`qsub {}` on a login node", script.display())]);
    assert!(script.exists());
    fs::write(node.path("refuse"), "qsub: Unknown queue\n").unwrap();
    let refused = node.submit(&[]);
    refused.refuses(1, &["qsub refused: qsub: Unknown queue", "correct the job file"]);
    assert!(!refused.told.contains("`qsub "), "it has just refused: {refused:?}");
    fs::remove_file(node.path("refuse")).unwrap();
    node.submit(&[]).succeeds();
    let blind = Ended::of(&node.bocr_with_path(&["submit", file], "/nowhere").output().unwrap());
    blind.refuses(1, &["cannot ask PBS whether job 1.fake"]);
}

#[test]
fn what_is_wrong_with_a_job_file_is_named_with_the_remedy() {
    let node = LoginNode::new("home");
    node.job_file("wall = 1", "");
    node.submit(&[]).refuses(2, &["job.toml", "line 6", "wall"]);
    node.job_file("list = [\"absent.txt\"]", "");
    node.submit(&[]).refuses(2, &["absent.txt", "`list`"]);
    fs::write(node.home("empty.txt"), "").unwrap();
    for (configuration, words) in [
        ("pdfium = \"lib\"", &["pdfium", "home/lib"][..]),
        ("[engines.chandra]\nprompt_file = \"~/p\"", &["[engines.chandra] prompt_file", "~/p", "whole path"]),
        ("[engines.chandra]\nprompt_file = \"p.txt\"", &["[engines.chandra] prompt_file", "home/p.txt"]),
        ("[engines.chandra]\nprompt_file = \"empty.txt\"", &["the prompt is empty"]),
        ("[engines.deepseek]\nprofile = \"p.toml\"", &["[engines.deepseek] profile", "home/p.toml"]),
        ("[engines.deepseek]\nprofile = \"nope\"", &["[engines.deepseek] profile", "nope"]),
        ("[engines.chandra.server]\nkind = \"stand-in\"\nfaults = \"f.toml\"", &["server.faults", "home/f.toml"]),
    ] {
        let table = fs::read_to_string(node.job_file("", "")).unwrap();
        fs::write(node.home("job.toml"), format!("{configuration}\n{table}")).unwrap();
        let refused = node.submit(&[]);
        refused.refuses(2, words);
        assert!(refused.told.matches("No such file").count() <= 1, "{refused:?}");
    }
    assert!(!node.path("run").exists());
    node.job_file("chain = 1\noptions = [\"-v SITE_KEY=abc\"]", "");
    node.submit(&["--dry-run"]).refuses(2, &["options", "`setup`"]);
    node.submit(&["--dry-run", "--chain", "0"]).succeeds();
    node.job_file("", "");
    node.submit(&[]).succeeds();
    let copy = node.run("job/job.toml");
    let copied = Ended::of(&node.bocr(&["submit", copy.to_str().unwrap()]).output().unwrap());
    copied.refuses(2, &["is the copy that an earlier `bocr submit` wrote"]);
}

#[test]
fn hostile_names_reach_the_job_as_they_are() {
    let home = r#"it's "a" $(touch x) `touch y` \ * العربية"#;
    let node = LoginNode::new(home);
    let name = r#"الجريدة '$HOME' "1912" #1"#;
    fs::create_dir(node.home(name)).unwrap();
    let more = format!("arguments = [\"--redo\", {name:?}]\nlist = [{name:?}]\nsetup = \"export SET_UP='a b'\"");
    node.job_file(&more, "");
    node.submit(&[]).succeeds();
    let record = node.path("record");
    let script = Command::new(node.run("job/job.pbs")).env("RECORD", &record).env("HOME", node.path("")).status();
    assert!(script.unwrap().success());
    let recorded = fs::read_to_string(record).unwrap();
    let recorded: Vec<&str> = recorded.trim_end_matches('\0').split('\0').collect();
    let path = |path: PathBuf| path.to_str().unwrap().to_owned();
    let expected = [
        "a b".into(),
        path(node.home("")).trim_end_matches('/').into(),
        "--bocr".into(),
        path(fs::canonicalize(env!("CARGO_BIN_EXE_bocr")).unwrap()),
        "--".into(),
        "--input".into(),
        path(node.home("gazettes")),
        "--list".into(),
        path(node.home(name)),
        "--output".into(),
        path(node.path("run")),
        "--config".into(),
        path(node.run("job/job.toml")),
        "--redo".into(),
        name.into(),
    ];
    assert_eq!(recorded, expected);
    assert!(!node.home("x").exists() && !node.home("y").exists());
}

#[test]
fn a_run_is_followed_through_its_jobs_to_the_end() {
    let node = LoginNode::new("home");
    node.job_file("", "");
    node.submit(&[]).succeeds();
    let queued = "echo '    job_state = Q'; echo '    comment = Not Running: Insufficient amount of resource: ngpus'";
    let run = node.path("run");
    let status = r#"{"phase":"reading","beat":1,"pages":9,"settled":4,"restored":0,"read":4,"recovered":0,"blank":0,"failed":0,"in_flight":2,"seconds":3.0}"#;
    let works = format!("{RUNNING}; echo '{status}' >'{}/status.json'", run.display());
    let hands_on = format!(
        "{}; cd '{}/job'; echo 'the walltime is near' >output/1.fake.OU\n\
         printf '2.fake\\t2026-01-01T00:00:00Z\\t%s\\n' 'chain 1.fake' submitted >>jobs.tsv",
        ended(75),
        run.display()
    );
    node.says("1.fake", &[queued, queued, &works, &hands_on]);
    node.says("2.fake", &[&ended(3)]);
    let followed = node.follow();
    assert_eq!(followed.code, Some(3), "{followed:?}");
    let output = run.join("job/output");
    let expected = format!(
        "1.fake: queued: Not Running: Insufficient amount of resource: ngpus\n1.fake: running on n1, n2\n\
         1.fake: ended with 75: stopped early; submit it again to continue\n\
         the end of {0}/1.fake.OU:\nthe walltime is near\n\
         2.fake: ended with 3: all is settled, but some pages or documents failed; report.json says which\n\
         the job printed nothing into {0}/2.fake.OU\n",
        output.display()
    );
    assert_eq!(followed.said, expected);
    assert!(followed.told.starts_with("bocr: 4/9 pages"), "{followed:?}");
}

#[test]
fn the_end_that_pbs_gave_a_job_is_explained() {
    let node = LoginNode::new("home");
    node.job_file("", "");
    node.submit(&[]).succeeds();
    for (status, code, words) in [(271, 75, "qdel"), (-29, 75, "walltime was used up"), (-27, 1, "`memory`")] {
        node.says("1.fake", &[&ended(status)]);
        let followed = node.follow();
        assert!(followed.code == Some(code) && followed.said.contains(words), "{followed:?}");
    }
    fs::write(node.run("job/output/1.fake.OU"), "bocr: another bocr run is working in run: wait for it\n").unwrap();
    node.says("1.fake", &[&ended(2)]);
    let followed = node.follow();
    assert!(
        followed.code == Some(2) && followed.said.contains("another job of this run is still running"),
        "{followed:?}"
    );
    // The run ended in order before PBS killed what was left of its job.
    let account = r#"{"exit_code":0,"outcome":"complete","again":false,"silent_hosts":[]}"#;
    fs::write(node.run("finished.json"), account).unwrap();
    node.says("1.fake", &[&ended(265)]);
    assert_eq!(node.follow().code, Some(0));
}

#[test]
fn a_run_that_cannot_go_on_by_itself_is_not_called_ready_to_continue() {
    let node = LoginNode::new("home");
    node.job_file("", "");
    node.submit(&[]).succeeds();
    let account = |stopped: &str| {
        let text =
            format!("{{\"exit_code\":75,\"outcome\":{{\"stopped\":{stopped}}},\"again\":false,\"silent_hosts\":[]}}");
        fs::write(node.run("finished.json"), text).unwrap();
    };
    account("{\"no-engine\":\"chandra\"}");
    node.says("1.fake", &[&ended(75)]);
    let followed = node.follow();
    assert!(followed.code == Some(75) && followed.said.contains("no rank can serve chandra"), "{followed:?}");
    assert!(followed.said.contains("correct that") && !followed.said.contains("to continue"), "{followed:?}");
    account("\"requested\"");
    node.says("1.fake", &[&ended(271)]);
    let followed = node.follow();
    assert!(followed.said.contains("ended with 271: the run ended in order after qdel"), "{followed:?}");
}

#[test]
fn the_output_of_a_job_by_plain_qsub_is_found() {
    let node = LoginNode::new("home");
    node.job_file("", "");
    node.submit(&[]).succeeds();
    let output = node.path("bocr.o1");
    fs::write(&output, "the end of a template\n").unwrap();
    node.says("1.fake", &[&format!("{}; echo '    Output_Path = login:{}'", ended(0), output.display())]);
    let followed = node.follow();
    assert!(followed.said.contains("the end of a template") && followed.said.contains("bocr.o1:"), "{followed:?}");
}

#[test]
fn set_up_lines_that_end_the_job_are_not_the_end_of_a_run() {
    for code in [0, 3, 75] {
        let node = LoginNode::new("home");
        node.job_file(&format!("setup = \"exit {code}\""), "");
        node.submit(&[]).succeeds();
        let mut script = Command::new(node.run("job/job.pbs"));
        let ended = Ended::of(&script.env("RECORD", node.path("record")).env("HOME", node.path("")).output().unwrap());
        ended.refuses(2, &["setup of the job file ended the job", &format!("exit code {code}")]);
        assert!(!node.path("record").exists());
    }
}

#[test]
fn an_interrupt_leaves_the_job_alone() {
    let node = LoginNode::new("home");
    node.job_file("", "");
    node.submit(&[]).succeeds();
    node.says("1.fake", &[RUNNING]);
    let mut command = node.bocr(&["follow", "--every", "1"]);
    command.arg(node.path("run")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut follow = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(follow.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "1.fake: running on n1, n2\n");
    kill_process(Pid::from_child(&follow), Signal::INT).unwrap();
    let ended = Ended::of(&follow.wait_with_output().unwrap());
    ended.refuses(130, &["the job goes on", "bocr follow"]);
}

#[test]
fn a_run_without_a_job_cannot_be_followed() {
    let node = LoginNode::new("home");
    node.follow().refuses(1, &["is known: submit one"]);
}

#[test]
fn the_templates_ask_for_what_a_job_needs_and_say_what_to_edit() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pbs");
    for name in ["one-node", "many-nodes", "chained", "scaling-cpu"] {
        let path = folder.join(format!("{name}.pbs"));
        let text = fs::read_to_string(&path).unwrap();
        assert!(Command::new("bash").arg("-n").arg(&path).status().unwrap().success(), "{name}");
        let mut wanted = vec![
            "\n# EDIT ",
            "\n#PBS -N ",
            "\n#PBS -q ",
            ":ncpus=",
            ":mem=",
            ":mpiprocs=",
            "\n#PBS -l place=",
            "\n#PBS -l walltime=",
            "\n##PBS -A ",
            "\n##PBS -M ",
            "\n#PBS -r y\n",
            "\n#PBS -j oe\n",
            "\n#PBS -k oed\n",
        ];
        if name != "scaling-cpu" {
            wanted.push(":ngpus=");
        }
        for word in wanted {
            assert!(text.contains(word), "{word:?} is not in {name}.pbs");
        }
        // PBS looks for its lines before the first command only.
        let first_command = text.lines().position(|line| !line.is_empty() && !line.starts_with('#')).unwrap();
        let last_directive = text.lines().filter(|line| line.starts_with("#PBS")).count();
        let before = text.lines().take(first_command).filter(|line| line.starts_with("#PBS")).count();
        assert_eq!(last_directive, before, "{name}");
    }
}

#[test]
fn the_scripts_that_jobs_call_are_there() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let is_program = |path: &Path| fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o111 != 0);
    for name in ["one-node", "many-nodes", "chained", "scaling-cpu"] {
        let text = fs::read_to_string(project.join(format!("pbs/{name}.pbs"))).unwrap();
        let named: Vec<&str> = text.split("$bocr_home/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(!named.is_empty(), "{name}");
        for script in named {
            assert!(is_program(&project.join(script)), "{script} of {name}.pbs");
        }
    }
    // All options of a job file reach the script of the project itself, which knows them.
    let node = LoginNode::new("home");
    let file = node.job_file(
        "walltime = \"01:00:00\"\nchain = 1\nmpirun = \"mpirun\"\nmpirun_options = \"--tag-output\"\nlist = [\"list\"]",
        "",
    );
    let mut shown = node.bocr(&["submit", file.to_str().unwrap(), "--dry-run"]);
    let shown = Ended::of(&shown.env("BOCR_HOME", project).output().unwrap());
    fs::write(node.path("job.pbs"), shown.succeeds()).unwrap();
    let mut outside = Command::new("bash");
    outside.arg(node.path("job.pbs")).env_remove("PBS_JOBID").env("HOME", node.path(""));
    Ended::of(&outside.output().unwrap()).refuses(2, &["this is no PBS job"]);
}

#[test]
fn the_example_job_file_makes_a_script_of_good_bash() {
    let node = LoginNode::new("home");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("pbs/job.toml");
    let shown = Ended::of(&node.bocr(&["submit", example.to_str().unwrap(), "--dry-run"]).output().unwrap());
    assert!(shown.succeeds().contains("#PBS -l select=4:ncpus=20:mem=180gb:ngpus=1:mpiprocs=1\n"), "{shown:?}");
    assert!(shown.said.contains("\nmodule use /app/common/modules\n"), "{shown:?}");
    fs::write(node.path("job.pbs"), &shown.said).unwrap();
    assert!(Command::new("bash").arg("-n").arg(node.path("job.pbs")).status().unwrap().success());
    // What is commented out is right too.
    let text = fs::read_to_string(example).unwrap();
    let all: Vec<String> = text.lines().map(uncommented).collect();
    fs::write(node.home("job.toml"), all.join("\n")).unwrap();
    assert!(node.submit(&["--dry-run"]).succeeds().contains("#PBS -W umask=027\n"));
}

#[test]
fn what_runs_on_nodes_works_with_bash_4_2() {
    let check = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/lib/check_bash.py");
    let node = LoginNode::new("home");
    node.job_file("chain = 1\nnodes = 2\nsetup = \"module load openmpi\"", "");
    fs::write(node.path("job.pbs"), node.submit(&["--dry-run"]).succeeds()).unwrap();
    Ended::of(&Command::new(&check).output().unwrap()).succeeds();
    Ended::of(&Command::new(&check).arg(node.path("job.pbs")).output().unwrap()).succeeds();
    for newer in [
        "echo $EPOCHSECONDS",
        "printf '%s' \"${words[@]@Q}\"",
        "mapfile -d '' words <list",
        "wait -n",
        "local -n other=$1",
        "[[ -v words[0] ]]",
        "words=()\nrun \"${words[@]}\"",
        "words=(\"$@\")\nrun \"${words[*]}\"",
    ] {
        fs::write(node.path("newer"), format!("#!/bin/bash\nset -u\n{newer}\n")).unwrap();
        Ended::of(&Command::new(&check).arg(node.path("newer")).output().unwrap()).refuses(1, &["newer:", "use "]);
    }
    fs::write(node.path("guarded"), "words=()\nrun ${words[@]+\"${words[@]}\"} \"${words[*]-}\"\n").unwrap();
    Ended::of(&Command::new(&check).arg(node.path("guarded")).output().unwrap()).succeeds();
}

/// A line `# key = value` without its mark.
fn uncommented(line: &str) -> String {
    match line.strip_prefix("# ") {
        Some(rest)
            if rest
                .split(" = ")
                .next()
                .is_some_and(|key| key.chars().all(|letter| "_".contains(letter) || letter.is_ascii_lowercase()))
                && rest.contains(" = ") =>
        {
            rest.to_owned()
        }
        _ => line.to_owned(),
    }
}
