//! What a run prepares on its nodes, seen from the servers that it launches there: real runs, real servers, and a
//! program that plays `nvidia-smi`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::run_support::{Bench, Killed, text, until};

/// A node with a program on its PATH that tells of its GPUs.
struct Node {
    bench: Bench,
}

impl Node {
    fn new() -> Node {
        let bench = Bench::new();
        bench.inputs(&["pages/digital_fr.pdf"]);
        for folder in ["bin", "servers", "t"] {
            fs::create_dir(bench.path(folder)).unwrap();
        }
        Node { bench }
    }

    /// An id of a GPU that no other test has.
    fn uuid(&self, index: usize) -> String {
        let name = self.bench.path("").file_name().unwrap().to_string_lossy().replace('.', "");
        format!("GPU-{name}-{index}")
    }

    /// GPUs with so much memory in use; on those of `computing` there is a process.
    fn has_gpus(&self, memory: &[u64], computing: &[usize]) {
        let line = |(index, used): (usize, &u64)| format!("{index}, {}, {used}\n", self.uuid(index));
        let gpus: String = memory.iter().enumerate().map(line).collect();
        let apps: String = computing.iter().map(|index| format!("{}\n", self.uuid(*index))).collect();
        let gpus = self.bench.write("gpus", &gpus);
        let apps = self.bench.write("apps", &apps);
        let script = format!(
            "#!/bin/sh\ncase $1 in --query-gpu=*) cat {} ;; --query-compute-apps=*) cat {} ;; *) exit 2 ;; esac\n",
            gpus.display(),
            apps.display()
        );
        let program = self.bench.write("bin/nvidia-smi", &script);
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Configures a server that writes down what it was given, and comes up once the file `go` is there. It names its
    /// model as its first argument.
    fn configuration(&self, more: &str) -> PathBuf {
        let script = format!(
            "(echo MODEL=$1; env) >{0}/part-$$; mv {0}/part-$$ {0}/server-$$; shift; until [ -e {1} ]; do sleep 0.05; done; exec \"$@\"",
            self.bench.path("servers").display(),
            self.bench.path("go").display()
        );
        let command = [
            "sh",
            "-c",
            &script,
            "server",
            "{model}",
            env!("CARGO_BIN_EXE_bocr"),
            "stand-in",
            "--speak",
            "chandra",
            "--mode",
            "synthetic",
            "--time-scale",
            "0",
            "--uds",
            "{socket}",
            "--served-name",
            "{served_name}",
        ];
        let server = format!("{more}\n[engines.chandra.server]\nkind = \"launch\"\ncommand = {command:?}\n");
        self.bench.write("configuration.toml", &server)
    }

    fn arguments(&self, run: &str) -> Vec<String> {
        let path = |name: &str| self.bench.path(name).to_str().unwrap().to_owned();
        let configuration = path("configuration.toml");
        ["run", "-i", &path("input"), "-o", &path(run), "-c", &configuration].map(str::to_owned).into()
    }

    fn prepared(&self, mut command: Command) -> Command {
        let path = format!("{}:{}", self.bench.path("bin").display(), std::env::var("PATH").unwrap());
        command
            .env("PATH", path)
            .env("TMPDIR", self.bench.path("t"))
            .env_remove("CUDA_VISIBLE_DEVICES")
            .env_remove("OMP_NUM_THREADS");
        command.stdout(Stdio::null());
        command
    }

    fn run(&self, run: &str) -> Command {
        let arguments = self.arguments(run);
        self.prepared(self.bench.bocr(&arguments.iter().map(String::as_str).collect::<Vec<_>>()))
    }

    fn mpirun(&self, ranks: u32, run: &str) -> Command {
        let arguments = self.arguments(run);
        self.prepared(self.bench.mpirun(ranks, &arguments.iter().map(String::as_str).collect::<Vec<_>>()))
    }

    /// What each server was given so far.
    fn servers(&self) -> Vec<BTreeMap<String, String>> {
        let files = fs::read_dir(self.bench.path("servers")).unwrap().map(|entry| entry.unwrap().path());
        let files = files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("server-"));
        let variables = |text: String| {
            let pairs = text.lines().filter_map(|line| line.split_once('='));
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        files.map(|path| variables(fs::read_to_string(path).unwrap())).collect()
    }

    fn waits_for_servers(&self, number: usize) {
        until("the servers are launched", || self.servers().len() == number);
    }

    fn go(&self) {
        self.bench.write("go", "");
    }

    fn logs(&self, run: &str) -> String {
        let entries = fs::read_dir(self.bench.path(run).join("logs")).unwrap().map(|entry| entry.unwrap().path());
        let ranks = entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("rank-"));
        ranks.map(|path| fs::read_to_string(path).unwrap()).collect()
    }
}

/// The locks of GPUs are never removed where GPUs are real.
impl Drop for Node {
    fn drop(&mut self) {
        for index in 0..4 {
            let claims = format!("bocr-{}-gpus", rustix::process::getuid().as_raw());
            let _ = fs::remove_file(PathBuf::from("/dev/shm").join(claims).join(self.uuid(index)));
        }
    }
}

fn values<'a>(servers: &'a [BTreeMap<String, String>], name: &str) -> BTreeSet<&'a str> {
    servers.iter().map(|server| server[name].as_str()).collect()
}

#[test]
fn two_runs_at_once_on_a_node_share_nothing() {
    let node = Node::new();
    node.configuration("");
    // Another user has 0 and 3.
    node.has_gpus(&[70_000, 4, 4, 4], &[3]);
    let job = [("OMP_NUM_THREADS", "64"), ("NCPUS", "4096")];
    let mut first = Killed(node.run("first").envs(job).spawn().unwrap());
    node.waits_for_servers(1);
    let mut second = Killed(node.run("second").spawn().unwrap());
    node.waits_for_servers(2);

    let servers = node.servers();
    assert_eq!(values(&servers, "CUDA_VISIBLE_DEVICES"), BTreeSet::from(["1", "2"]));
    assert_eq!(values(&servers, "CUDA_DEVICE_ORDER"), BTreeSet::from(["PCI_BUS_ID"]));
    for name in ["BOCR_SERVER", "VLLM_CACHE_ROOT", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"] {
        assert_eq!(values(&servers, name).len(), 2, "{name}");
    }
    assert_eq!(values(&servers, "OMP_NUM_THREADS"), BTreeSet::from(["1"]), "the profile's, not the job's");
    until("the renderers are there", || renderers(&node).len() >= 2);
    for environment in renderers(&node) {
        assert!(!environment.contains("OMP_NUM_THREADS"), "{environment}");
    }

    let refused = node.run("third").output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused).contains("all of this node's 4 GPUs"), "{}", text(&refused));

    node.go();
    assert!(first.0.wait().unwrap().success() && second.0.wait().unwrap().success());
    assert!(node.logs("first").contains("--bind-to none"), "a rank with fewer cores than PBS has given says so");
    node.bench.assert_nothing_left();
}

/// Environments of the renderer children.
fn renderers(node: &Node) -> Vec<String> {
    let processes = node.bench.marked_processes().into_iter().filter(|(_, line)| line.contains("render-child"));
    let environment = |(id, _)| fs::read_to_string(format!("/proc/{id}/environ")).ok();
    processes.filter_map(environment).filter(|environment| !environment.is_empty()).collect()
}

#[test]
fn a_rerun_finds_the_gpu_of_the_server_that_lingers() {
    let node = Node::new();
    node.configuration("");
    node.has_gpus(&[70_000, 4, 4], &[]);
    let mut first = Killed(node.run("run").args(["--linger", "300"]).spawn().unwrap());
    node.waits_for_servers(1);
    assert_eq!(values(&node.servers(), "CUDA_VISIBLE_DEVICES"), BTreeSet::from(["1"]));
    first.0.kill().unwrap();
    first.0.wait().unwrap();

    // The server has loaded its model meanwhile, and the other user is gone.
    node.has_gpus(&[4, 50_000, 4], &[1]);
    node.go();
    let again = node.run("run").output().unwrap();
    assert!(again.status.success(), "{}", text(&again));
    assert!(node.logs("run").contains("adopted the server"));
    assert_eq!(node.servers().len(), 1);
    node.bench.assert_nothing_left();
}

#[test]
fn ranks_without_a_gpu_each_are_refused() {
    let node = Node::new();
    node.configuration("");
    let shared = node.mpirun(2, "run").env("CUDA_VISIBLE_DEVICES", node.uuid(0)).output().unwrap();
    assert_eq!(shared.status.code(), Some(2));
    assert!(text(&shared).contains("2 ranks on this node, and 1 GPUs"), "{}", text(&shared));
    let none = node.run("none").env("CUDA_VISIBLE_DEVICES", "").output().unwrap();
    assert_eq!(none.status.code(), Some(2));
    assert!(text(&none).contains("ngpus"), "{}", text(&none));
    node.bench.assert_nothing_left();

    node.configuration("[node]\ngpus = []\n");
    node.go();
    let without = node.run("without").env("CUDA_VISIBLE_DEVICES", "").output().unwrap();
    assert!(without.status.success(), "{}", text(&without));
}

#[test]
fn a_model_is_copied_once_to_the_disk_of_a_node() {
    let node = Node::new();
    let hub = node.bench.path("home/hub/models--lab--model");
    for folder in ["blobs", "refs", "snapshots/5e1f"] {
        fs::create_dir_all(hub.join(folder)).unwrap();
    }
    fs::write(hub.join("refs/main"), "5e1f").unwrap();
    fs::write(hub.join("blobs/77"), "weights").unwrap();
    symlink("../../blobs/77", hub.join("snapshots/5e1f/model.safetensors")).unwrap();
    let disk = node.bench.path("disk");
    fs::create_dir(&disk).unwrap();

    node.configuration("[node]\nstage = \"$NODE_DISK\"\n[engines.chandra]\nmodel = \"lab/model\"\n");
    node.go();
    let run = |name: &str| {
        let mut command = node.mpirun(2, name);
        command.env("HF_HOME", node.bench.path("home")).env("NODE_DISK", &disk);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
    };
    run("first");
    let servers = node.servers();
    let models = values(&servers, "MODEL");
    let [model] = models.iter().collect::<Vec<_>>()[..] else { panic!("one model: {models:?}") };
    assert!(PathBuf::from(model).starts_with(&disk), "{model}");
    assert_eq!(fs::read(PathBuf::from(model).join("model.safetensors")).unwrap(), b"weights");
    assert_eq!(node.logs("first").matches("copied 7 B in").count(), 1);

    run("second");
    assert_eq!(node.logs("second").matches("copied 7 B in").count(), 0, "the next job finds it");
    assert_eq!(values(&node.servers(), "MODEL").len(), 1);

    fs::rename(&disk, node.bench.path("elsewhere")).unwrap();
    run("third");
    assert!(node.logs("third").contains("CANNOT BE COPIED TO THIS NODE'S DISK"));
    let snapshot = hub.join("snapshots/5e1f");
    assert!(values(&node.servers(), "MODEL").contains(snapshot.to_str().unwrap()), "read where it is");
    node.bench.assert_nothing_left();
}
