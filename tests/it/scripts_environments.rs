//! The scripts that make environments, bring models and look at a cluster, with stand-ins for what they call.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::Command,
};

use crate::scripts_support::{Site, read};
use bulletin_ocr::engine::Profile;

#[test]
fn an_environment_is_made_once_and_left_alone_from_then_on() {
    let site = Site::new();
    let made = site.run("env-deepseek", &["--tool", "conda"]);
    made.ends_with(0);
    let folder = site.environments().join("deepseek");
    made.says("profile = \"deepseek-ocr\"");
    made.says(&format!("activate = \"source {}/activate\"", folder.display()));
    assert!(read(&folder.join("bocr-environment")).contains("state = complete"));
    let calls = site.calls();
    assert!(calls.contains("conda create --yes --quiet --prefix"), "{calls}");
    assert!(
        calls.contains("-m pip install") && calls.contains("--require-hashes") && calls.contains("--no-deps"),
        "{calls}"
    );
    assert!(calls.contains("DeepseekOCRForCausalLM deepseek"), "{calls}");

    let again = site.run("env-deepseek", &[]);
    again.ends_with(0);
    again.says("nothing to do");
    again.says("profile = \"deepseek-ocr\"");
    assert_eq!(site.calls(), calls);
}

#[test]
fn the_kernel_that_a_first_page_would_wait_for_is_compiled_where_there_is_a_compiler() {
    let site = Site::new();
    let made = site.run("env-chandra", &["--tool", "conda"]);
    made.ends_with(0);
    made.says("no nvcc here");
    assert!(!site.calls().contains("gdn_prefill"));
    let nvcc = site.path("bin/nvcc");
    fs::write(&nvcc, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&nvcc, PermissionsExt::from_mode(0o755)).unwrap();
    let again = site.run("env-chandra", &[]);
    again.ends_with(0);
    again.says("nothing if it is there");
    assert!(site.calls().contains("gen_gdn_prefill_sm90_module"), "{}", site.calls());
    let other = site.run("env-deepseek", &["--tool", "conda"]);
    other.ends_with(0);
    assert_eq!(site.calls().matches("gen_gdn_prefill_sm90_module").count(), 1);
}

#[test]
fn conda_is_found_where_it_is_a_module_only() {
    let site = Site::new();
    fs::create_dir_all(site.path("modules/init")).unwrap();
    fs::create_dir(site.path("anaconda")).unwrap();
    fs::rename(site.path("bin/conda"), site.path("anaconda/conda")).unwrap();
    let module = r#"module() {
        case $1 in
            -t) printf 'openmpi/4.1\nanaconda3-2024.10(default)\n' >&2 ;;
            load) [[ $2 == anaconda3-2024.10 ]] && PATH=$SITE/anaconda:$PATH ;;
        esac
    }"#;
    fs::write(site.path("modules/init/bash"), module).unwrap();
    let made = site.run("env-deepseek", &[]);
    made.ends_with(0);
    made.says("loading module anaconda3-2024.10");
    assert!(site.calls().contains("conda create"));
}

#[test]
fn a_dry_run_says_what_would_be_done_and_changes_nothing() {
    let site = Site::new();
    let before = site.files();
    let plan = site.run("env-chandra", &["--tool", "conda", "--dry-run"]);
    plan.ends_with(0);
    plan.says("conda create --yes");
    plan.says("-m pip download --no-deps --require-hashes --only-binary :all:");
    site.run("models", &["--dry-run"]).ends_with(0);
    // The plan is looked at before there is an environment with `hf`.
    fs::rename(site.path("bin/hf"), site.path("hf")).unwrap();
    site.run("models", &["--dry-run"]).says("hf download datalab-to/chandra-ocr-2");
    fs::rename(site.path("hf"), site.path("bin/hf")).unwrap();
    assert_eq!(site.files(), before);
}

#[test]
fn a_folder_of_somebody_else_is_refused() {
    let site = Site::new();
    let foreign = site.environments().join("khalil_vllm");
    fs::create_dir_all(foreign.join("bin")).unwrap();
    let prefix = foreign.to_str().unwrap();
    for arguments in [["--prefix", prefix, "--tool", "conda"].as_slice(), &["--prefix", prefix, "--check"]] {
        let refused = site.run("env-chandra", arguments);
        refused.ends_with(2);
        refused.says("was not made by this script");
    }
    assert_eq!(site.calls(), "");

    let model = site.path("models/chandra-2");
    fs::create_dir_all(&model).unwrap();
    fs::write(model.join("model.safetensors"), "mine").unwrap();
    let refused = site.run("models", &["chandra-2", "--dir", site.path("models").to_str().unwrap()]);
    refused.ends_with(2);
    refused.says("left alone");
    assert_eq!(read(&model.join("model.safetensors")), "mine");
}

#[test]
fn an_environment_of_other_packages_is_refused() {
    let site = Site::new();
    site.run("env-deepseek", &["--tool", "conda"]).ends_with(0);
    let prefix = site.environments().join("deepseek");
    let refused = site.run("env-chandra", &["--tool", "conda", "--prefix", prefix.to_str().unwrap()]);
    refused.ends_with(2);
    refused.says("was made from another deepseek.txt");
}

#[test]
fn a_creation_without_network_names_the_way_out_and_is_finished_by_the_next() {
    let site = Site::new();
    fs::write(site.path("no-network"), "").unwrap();
    let interrupted = site.run("env-deepseek", &["--tool", "conda"]);
    interrupted.ends_with(1);
    interrupted.says("on the login node");
    interrupted.says("--wheels DIR");
    let marker = site.environments().join("deepseek/bocr-environment");
    assert!(read(&marker).contains("state = unfinished"));
    site.run("env-deepseek", &["--check"]).ends_with(1);
    site.run("env-deepseek", &["--tool", "venv"]).ends_with(2);

    let wheels = site.path("wheels");
    fs::create_dir(&wheels).unwrap();
    let finished = site.run("env-deepseek", &["--wheels", wheels.to_str().unwrap()]);
    finished.ends_with(0);
    assert!(read(&marker).contains("state = complete"));
    let calls = site.calls();
    assert_eq!(calls.matches("conda create").count(), 1, "{calls}");
    assert!(calls.contains("--no-index --find-links"), "{calls}");
}

#[test]
fn what_is_left_of_a_creation_that_cannot_run_is_made_anew() {
    let site = Site::new();
    fs::write(site.path("no-network"), "").unwrap();
    site.run("env-deepseek", &["--tool", "conda"]).ends_with(1);
    fs::remove_file(site.path("no-network")).unwrap();
    let environment = site.environments().join("deepseek/env");
    fs::write(environment.join("bin/python"), "half a file").unwrap();
    fs::write(environment.join("left-over"), "").unwrap();
    site.run("env-deepseek", &[]).ends_with(0);
    assert!(!environment.join("left-over").exists());
}

#[test]
fn an_environment_that_cannot_serve_the_model_is_not_complete() {
    let site = Site::new();
    fs::write(site.path("unfit"), "").unwrap();
    let unfit = site.run("env-deepseek", &["--tool", "conda"]);
    unfit.ends_with(3);
    unfit.says("not usable");
    assert!(read(&site.environments().join("deepseek/bocr-environment")).contains("state = unfinished"));
}

#[test]
fn only_one_creation_is_at_work_in_a_folder() {
    let site = Site::new();
    let folder = site.environments().join("deepseek");
    fs::write(site.path("no-network"), "").unwrap();
    site.run("env-deepseek", &["--tool", "conda"]).ends_with(1);
    let lock = fs::File::open(folder.join("bocr-environment.lock")).unwrap();
    lock.lock().unwrap();
    let second = site.run("env-deepseek", &[]);
    second.ends_with(1);
    second.says("another process is making");
}

#[test]
fn wrong_usage_is_named() {
    let site = Site::new();
    for (script, arguments, complaint) in [
        ("env-chandra", ["--version", "3"].as_slice(), "--version is 1 or 2"),
        ("env-deepseek", &["--version", "2"], "unknown option --version"),
        ("env-chandra", &["--tool", "poetry"], "--tool is conda, mamba or venv"),
        ("env-chandra", &["--tool", "conda", "--python", "3.7"], "the packages are pinned for 3.10 3.11 3.12"),
        ("env-chandra", &["--wheels", "/nowhere"], "no folder /nowhere"),
        ("env-chandra", &["--prefix", "a folder"], "only letters, digits"),
        ("env-chandra", &["--prefix"], "its value is missing"),
        ("models", &["chandra-3"], "unknown model chandra-3"),
        ("site-check", &["--folder", "/nowhere"], "no folder /nowhere"),
    ] {
        let refused = site.run(script, arguments);
        refused.ends_with(2);
        refused.says(complaint);
    }
    assert_eq!(site.calls(), "");
}

#[test]
fn every_package_is_pinned_with_its_hashes_and_no_host_is_named() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/environments");
    for name in ["chandra-1", "chandra-2", "deepseek"] {
        let text = read(&folder.join(name).with_extension("txt"));
        assert!(!text.contains("://"), "{name}");
        let entries = text.replace(" \\\n", " ");
        for entry in entries.lines().filter(|line| !line.starts_with('#')) {
            assert!(entry.contains("==") && entry.contains("--hash=sha256:"), "{name}: {entry}");
        }
    }
}

#[test]
fn models_are_those_of_the_profiles() {
    let site = Site::new();
    for name in Profile::built_in() {
        let profile = Profile::load(name, None).unwrap();
        let engine = ["chandra", "deepseek"].into_iter().find(|engine| name.starts_with(engine)).unwrap_or(name);
        let plan = site.run("models", &[name, "--dry-run"]);
        plan.says(&format!("hf download {} ", profile.model));
        plan.says(&format!("[engines.{engine}]"));
        plan.says(&format!("profile = \"{name}\""));
    }
}

#[test]
fn a_model_is_verified_and_what_is_damaged_comes_anew_in_the_same_revision() {
    let site = Site::new();
    let arguments = ["deepseek-ocr", "--dir", site.path("models").to_str().unwrap()].map(str::to_owned);
    let arguments = arguments.each_ref().map(String::as_str);
    let brought = site.run("models", &arguments);
    brought.ends_with(0);
    let folder = site.path("models/deepseek-ocr");
    brought.says(&format!("model = \"{}\"", folder.display()));
    let manifest: serde_json::Value = serde_json::from_str(&read(&folder.join("bocr-model.json"))).unwrap();
    assert_eq!(manifest["revision"], "f00d");
    let weights = folder.join("model.safetensors");
    let listed = manifest["files"].as_array().unwrap().iter().find(|file| file["path"] == "model.safetensors").unwrap();
    assert_eq!(read(&weights), "weights");
    assert_eq!(listed["sha256"], "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c");
    assert_eq!(site.calls().matches("hf download").count(), 1);

    site.run("models", &arguments).ends_with(0);
    assert_eq!(site.calls().matches("hf download").count(), 1, "a whole model is not fetched");

    fs::write(&weights, "damaged").unwrap();
    let mended = site.run("models", &arguments);
    mended.ends_with(0);
    mended.says("missing or damaged");
    assert!(site.calls().contains("--revision f00d"), "{}", site.calls());
    assert_eq!(read(&weights), "weights");
}

#[test]
fn an_interrupted_download_goes_on_and_a_corrupt_file_is_not_taken() {
    let site = Site::new();
    let arguments = ["deepseek-ocr", "--dir", site.path("models").to_str().unwrap()].map(str::to_owned);
    let arguments = arguments.each_ref().map(String::as_str);
    fs::write(site.path("no-network"), "").unwrap();
    let interrupted = site.run("models", &arguments);
    interrupted.ends_with(1);
    interrupted.says("goes on from them");
    fs::remove_file(site.path("no-network")).unwrap();

    fs::write(site.path("corrupt"), "").unwrap();
    let corrupt = site.run("models", &arguments);
    corrupt.ends_with(1);
    corrupt.says("not what the hub has");
    fs::remove_file(site.path("corrupt")).unwrap();

    site.run("models", &arguments).ends_with(0);
}

#[test]
fn a_machine_with_what_bocr_needs_passes_and_one_without_does_not() {
    let site = Site::new();
    let folder = site.path("runs");
    fs::create_dir(&folder).unwrap();
    let here = folder.to_str().unwrap();
    let good =
        site.run("site-check", &["--folder", here, "--bocr", env!("CARGO_BIN_EXE_bocr"), "--mpirun", "fake-mpirun"]);
    good.ends_with(0);
    for line in [
        "ok      bocr: bocr ",
        "ok      PBS support: Open MPI supports PBS",
        "ok      bash: GNU bash",
        "login shell: /",
        "ok      queue: gpu_1d: enabled=True, kill_delay=10 (the default), resources_max.walltime=24:00:00",
        "note    queue: closed: enabled=False",
        "ok      GPU: 0 NVIDIA H200, 4 of 143771 MiB used (GPU-aaaa)",
        "note    GPU: 1 NVIDIA H200, 90000 of 143771 MiB used (GPU-bbbb); another process uses it",
        "ok      CUDA_VISIBLE_DEVICES: GPU-aaaa",
        "ok      flock: holds between processes",
        "ok      exclusive creation",
        "nothing is missing",
    ] {
        good.says(line);
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "it cleans up");

    // What does not work is not there.
    fs::write(site.path("bin/qstat"), "#!/bin/sh\nexit 1\n").unwrap();
    fs::copy(site.path("bin/qstat"), site.path("bin/cargo")).unwrap();
    let lacking = site.run("site-check", &["--folder", here, "--bocr", "/nowhere/bocr", "--mpirun", "no-mpirun"]);
    lacking.ends_with(3);
    lacking.says("MISSING bocr: /nowhere/bocr does not start");
    lacking.says("MISSING mpirun: none (no-mpirun)");
    lacking.says("note    PBS: qstat --version: the command ended with code 1");
    lacking.says("a cargo that works");
    assert!(!lacking.text().contains("ok      to build it"), "{}", lacking.text());
}

/// Programs that `scripts/setup` calls on a machine without root, HDF5 and Tesseract.
const SETUP_PROGRAMS: [(&str, &str); 6] = [
    ("cargo", ""),
    ("rustc", "echo rustc 99.0.0"),
    ("tesseract", ""),
    ("pkg-config", "exit 1"),
    ("sha256sum", "cat >/dev/null; [[ $1 != --status || -e .deps/pdfium/libpdfium.so ]]"),
    (
        "python3",
        "case \"$1 $2\" in\n\
         '-m venv') mkdir -p \"$3/bin\"; cp \"$0\" \"$3/bin/python\" ;;\n\
         '-m zipfile') mkdir -p \"$5/pypdfium2_raw\"; echo library >\"$5/pypdfium2_raw/libpdfium.so\" ;;\nesac",
    ),
];

#[test]
fn setup_without_root_fetches_pdfium_and_goes_on_without_tesseract() {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("project");
    let everybodys = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for name in ["scripts/setup", "scripts/lib/pdfium-requirements.txt", "Cargo.toml"] {
        fs::create_dir_all(project.join(name).parent().unwrap()).unwrap();
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join(name), project.join(name)).unwrap();
    }
    fs::create_dir(folder.path().join("bin")).unwrap();
    for (name, lines) in SETUP_PROGRAMS {
        let path = folder.path().join("bin").join(name);
        fs::write(&path, format!("#!/bin/bash\n{lines}\n")).unwrap();
        everybodys(&path, 0o755);
    }
    everybodys(folder.path(), 0o755);
    everybodys(&project, 0o777);
    let setup = |arguments: &[&str], hdf5: Option<&str>| {
        let path = format!("{}:{}", folder.path().join("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(project.join("scripts/setup"));
        command.args(arguments).current_dir("/").env("PATH", path).env("LIBCLANG_PATH", "/lib").env_remove("HDF5_DIR");
        command.envs(hdf5.map(|folder| ("HDF5_DIR", folder)));
        if rustix::process::getuid().is_root() {
            command.uid(65534);
        }
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = setup(&[], None);
    assert!(code == Some(2) && said.contains("HDF5") && !said.contains("Tesseract"), "{code:?} {said}");
    assert!(project.join(".deps/pdfium/libpdfium.so").exists(), "it is not held up by what is missing: {said}");
    let (code, said) = setup(&[], Some("/lib"));
    assert!(code == Some(0) && said.contains("Tesseract with fra, ara, osd is missing"), "{code:?} {said}");
    let (code, said) = setup(&["--tests"], Some("/lib"));
    assert!(code == Some(2) && said.contains("  Tesseract with fra"), "{code:?} {said}");
}

#[test]
fn inside_a_job_the_page_says_whether_nodes_may_submit() {
    let site = Site::new();
    let folder = site.path("runs");
    fs::create_dir(&folder).unwrap();
    let program = |name: &str, script: &str| {
        let path = site.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\necho {name} \"$*\" >>\"$SITE/submitted\"\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    // The number of a hierarchy of /proc/self/cgroup is not that of a job.
    let cgroups = fs::read_to_string("/proc/self/cgroup").unwrap();
    let job = format!("{}.pbs", cgroups.split(':').next().unwrap());
    let page = || site.run_with("site-check", &["--folder", folder.to_str().unwrap()], &[("PBS_JOBID", &job)]);
    program("qsub", "echo 77.pbs");
    program("qdel", "");
    let good = page();
    good.says("ok      qsub on nodes: works");
    good.says("note    cgroup: not one of this job");
    assert_eq!(fs::read_to_string(site.path("submitted")).unwrap().lines().last(), Some("qdel 77.pbs"));
    program("qsub", "echo 'qsub: Bad UID for job execution' >&2; exit 1");
    page().says("note    qsub on nodes: fails here: qsub: Bad UID for job execution");
}

#[test]
fn other_hosts_are_asked_through_the_agent() {
    let site = Site::new();
    let folder = site.path("runs");
    fs::create_dir(&folder).unwrap();
    let nodes = site.path("nodes");
    fs::write(&nodes, "n1\nn1\nlate\nblind\ndead\n").unwrap();
    let arguments = ["--folder", folder.to_str().unwrap(), "--hosts", nodes.to_str().unwrap(), "--agent", "fake-agent"];
    let page = site.run("site-check", &arguments);
    page.ends_with(3);
    page.says("ok      n1: sees this folder");
    page.says("ok      n1: respects the locks of this host");
    page.says("note    late: clock off by");
    page.says("MISSING blind: does not see this folder");
    page.says("MISSING dead: does not answer fake-agent");
    assert_eq!(page.text().matches("n1: sees").count(), 1);
}
