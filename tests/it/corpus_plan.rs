//! Discovery and planning on real folders, links and damaged plans, and plans brought up to date with changed inputs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    num::NonZeroUsize,
    os::unix::{ffi::OsStringExt, fs::PermissionsExt, fs::symlink},
    path::{Path, PathBuf},
    thread,
};

use bulletin_ocr::{
    corpus::{Candidate, CorpusError, Inputs, InspectFailure, PLAN_FILE, Plan, discover, plan, read, write},
    model::{DocumentState, FailureClass, Inspected, Language},
};
use rustix::{process::getuid, thread::set_thread_res_uid};
use tempfile::TempDir;

/// Files with their own paths as contents.
fn tree(files: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, file).unwrap();
    }
    folder
}

fn inputs<P: AsRef<Path>>(paths: &[P]) -> Inputs {
    Inputs { paths: paths.iter().map(|path| path.as_ref().to_owned()).collect(), lists: Vec::new() }
}

fn names(found: &[Candidate]) -> Vec<&str> {
    found.iter().map(|candidate| candidate.name.as_str()).collect()
}

fn threads() -> NonZeroUsize {
    NonZeroUsize::new(2).unwrap()
}

#[test]
fn folders_are_searched_deeply_in_order_and_in_any_case() {
    let folder =
        tree(&["fr/BO_2.pdf", "fr/BO_1.PDF", "ar/1981/BO_1.Pdf", "ar/notes.txt", "z.pdf", ".hidden/a.pdf", "._z.pdf"]);
    let found = discover(&inputs(&[folder.path()])).unwrap();
    assert_eq!(names(&found), ["ar/1981/BO_1.Pdf", "fr/BO_1.PDF", "fr/BO_2.pdf", "z.pdf"]);
    assert!(found.iter().all(|candidate| candidate.path.is_absolute() && candidate.problem.is_none()));
}

#[test]
fn several_inputs_keep_their_order_and_clashing_names_their_folder() {
    let folder = tree(&["fr/BO_1.pdf", "ar/BO_1.pdf", "other/x.dat"]);
    let paths = ["other/x.dat", "fr", "ar"].map(|name| folder.path().join(name));
    assert_eq!(names(&discover(&inputs(&paths)).unwrap()), ["x.dat", "fr/BO_1.pdf", "ar/BO_1.pdf"]);
}

#[test]
fn a_file_reached_twice_counts_once_and_loops_end() {
    let folder = tree(&["in/a.pdf", "in/sub/b.pdf", "elsewhere/c.pdf"]);
    let root = folder.path();
    symlink(root.join("in/a.pdf"), root.join("in/again.pdf")).unwrap();
    symlink(root.join("in"), root.join("in/sub/loop")).unwrap();
    symlink(root.join("elsewhere"), root.join("in/linked")).unwrap();
    let found = discover(&inputs(&[root.join("in"), root.join("in/a.pdf"), root.join("in/sub")])).unwrap();
    assert_eq!(names(&found), ["a.pdf", "linked/c.pdf", "sub/b.pdf"]);
}

#[test]
fn lists_name_inputs_with_comments_and_errors_name_the_line() {
    let folder = tree(&["a.pdf", "b/c.pdf", "d.pdf"]);
    let root = folder.path();
    let list = root.join("list.txt");
    let text =
        format!("\u{feff}# gazettes\r\n{}\r\n\n  {}  \n", root.join("d.pdf").display(), root.join("b").display());
    fs::write(&list, &text).unwrap();
    let both = Inputs { paths: vec![root.join("a.pdf")], lists: vec![list.clone()] };
    assert_eq!(names(&discover(&both).unwrap()), ["a.pdf", "d.pdf", "c.pdf"]);
    fs::write(&list, format!("{text}/nowhere/e.pdf\n")).unwrap();
    let error = discover(&both).unwrap_err();
    assert!(matches!(error, CorpusError::ListLine { line: 5, .. }), "{error}");
    assert!(error.to_string().contains("/nowhere/e.pdf"));
}

#[test]
fn absent_inputs_and_empty_folders_are_errors() {
    let folder = tree(&["notes.txt"]);
    let absent = discover(&inputs(&[folder.path().join("absent")])).unwrap_err();
    assert!(matches!(&absent, CorpusError::Input { .. }) && absent.to_string().contains("absent"), "{absent}");
    let empty = discover(&inputs(&[folder.path()])).unwrap_err();
    assert!(matches!(&empty, CorpusError::NothingFound { .. }), "{empty}");
    let list = Inputs { lists: vec![folder.path().join("no-list")], ..Inputs::default() };
    assert!(matches!(discover(&list).unwrap_err(), CorpusError::List { .. }));
}

#[test]
fn names_that_are_not_utf_8_and_links_to_nowhere_are_refused_alone() {
    let folder = tree(&["good.pdf"]);
    let bad = std::ffi::OsString::from_vec(b"BO_\xe9t\xe9.pdf".to_vec());
    fs::write(folder.path().join(bad), "x").unwrap();
    symlink("nowhere.pdf", folder.path().join("dangling.pdf")).unwrap();
    symlink("circle.pdf", folder.path().join("circle.pdf")).unwrap();
    symlink("nowhere", folder.path().join("not-ours.txt")).unwrap();
    let plan = plan(&inputs(&[folder.path()]), |_, _| Ok(Inspected::whole(1)), threads()).unwrap();
    let states: Vec<_> = plan.documents.iter().map(|document| (document.name.as_str(), document.pages())).collect();
    assert_eq!(states, [("BO_\\xe9t\\xe9.pdf", 0), ("circle.pdf", 0), ("dangling.pdf", 0), ("good.pdf", 1)]);
    for (document, words) in plan.documents.iter().zip(["not UTF-8: rename it", "symbolic links", "No such file"]) {
        let DocumentState::Refused { class: FailureClass::Unreadable, reason } = &document.state else {
            panic!("{document:?}")
        };
        assert!(reason.contains(words), "{reason}");
    }
    let run = tempfile::tempdir().unwrap();
    write(run.path(), &plan).unwrap();
    assert_eq!(read(run.path()).unwrap(), Some(plan));
}

#[test]
fn a_folder_that_cannot_be_listed_is_recorded() {
    let folder = tree(&["good.pdf", "closed/a.pdf"]);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(folder.path().join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    let root = folder.path().to_owned();
    let found = thread::spawn(move || {
        if getuid().is_root() {
            // Only of this thread: root may list everything.
            let nobody = rustix::process::Uid::from_raw(65534);
            set_thread_res_uid(nobody, nobody, nobody).unwrap();
        }
        discover(&inputs(&[root])).unwrap()
    });
    let found = found.join().unwrap();
    assert_eq!(names(&found), ["closed", "good.pdf"]);
    assert!(found[0].problem.as_ref().unwrap().contains("Permission denied"), "{found:?}");
}

fn sample() -> (TempDir, Plan) {
    let folder = tree(&["ar/BO_5705-bis_Ar.pdf", "fr/BO_7500_Fr.pdf", "fr/BO_7501_Fr.pdf"]);
    let inspect = |path: &Path, name: &str| {
        assert_eq!(fs::read_to_string(path).unwrap(), name);
        match name {
            "fr/BO_7500_Fr.pdf" => {
                Err(InspectFailure::Document { class: FailureClass::Encrypted, reason: "locked".into() })
            }
            name => Ok(Inspected::whole(name.len() as u32)),
        }
    };
    let plan = plan(&inputs(&[folder.path()]), inspect, threads()).unwrap();
    (folder, plan)
}

#[test]
fn a_plan_counts_fingerprints_and_refuses() {
    let (_folder, plan) = sample();
    let [bis, locked, plain] = plan.documents.as_slice() else { panic!("{plan:?}") };
    assert_eq!((bis.edition.number, bis.edition.suffix.as_deref()), (Some(5705), Some("bis")));
    assert_eq!(bis.edition.language, Language::Arabic);
    assert_eq!(bis.fingerprint.as_ref().unwrap().bytes, 21);
    assert_eq!(locked.state, DocumentState::Refused { class: FailureClass::Encrypted, reason: "locked".into() });
    assert_eq!(locked.fingerprint.as_ref().unwrap().sha256.len(), 64);
    assert_eq!((plain.id.index(), plain.pages()), (2, 17));
    assert_eq!(plan.pages(), 21 + 17);
}

#[test]
fn a_fault_of_the_machine_stops_planning_instead_of_refusing_documents() {
    let folder = tree(&["a.pdf", "b.pdf"]);
    let lost = |_: &Path, _: &str| Err(InspectFailure::Machine("the renderer pool is gone".into()));
    let error = plan(&inputs(&[folder.path()]), lost, threads()).unwrap_err();
    assert!(matches!(error, CorpusError::Inspect { .. }), "{error}");
}

#[test]
fn a_plan_is_read_as_it_was_written_and_nothing_is_written_beside_the_inputs() {
    let (folder, plan) = sample();
    let run = tempfile::tempdir().unwrap();
    assert_eq!(read(run.path()).unwrap(), None);
    write(run.path(), &plan).unwrap();
    write(run.path(), &plan).unwrap();
    assert_eq!(read(run.path()).unwrap().as_ref(), Some(&plan));
    let left: Vec<_> = fs::read_dir(run.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [PLAN_FILE]);
    assert_eq!(discover(&inputs(&[folder.path()])).unwrap().len(), 3);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn a_damaged_plan_is_an_error_that_names_file_and_line() {
    let (_folder, plan) = sample();
    let run = tempfile::tempdir().unwrap();
    write(run.path(), &plan).unwrap();
    let path: PathBuf = run.path().join(PLAN_FILE);
    let good = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let cases = [
        (String::new(), 1),
        (good.replace("\"format\":\"bulletin-ocr plan\"", "\"format\":\"something else\""), 1),
        (good[..lines[0].len() + 50].to_owned(), 2),
        (lines[..3].join("\n"), 4),
        ([lines[0], lines[2], lines[1], lines[3]].join("\n"), 2),
        (format!("{good}{}\n", lines[3]), 5),
        (good.replace("sha256", "sha1"), 2),
    ];
    for (text, expected) in cases {
        fs::write(&path, &text).unwrap();
        let error = read(run.path()).unwrap_err();
        let CorpusError::PlanDamaged { line, .. } = &error else { panic!("{error}") };
        assert_eq!(
            *line, expected,
            "{error}
{text}"
        );
        assert!(error.to_string().contains(PLAN_FILE), "{error}");
    }
}

#[test]
fn a_plan_of_another_version_is_an_error_with_the_remedy() {
    let run = tempfile::tempdir().unwrap();
    let first = r#"{"format":"bulletin-ocr plan","version":1,"run_id":"20260101T000000Z-00000000",
        "created":"2026-01-01T00:00:00Z","inputs":["/in"],"documents":0}"#;
    fs::write(run.path().join(PLAN_FILE), first.replace("\n", "")).unwrap();
    let error = read(run.path()).unwrap_err();
    assert!(matches!(error, CorpusError::PlanVersion { found: 1, known: 2, .. }), "{error}");
    assert!(error.to_string().contains(PLAN_FILE) && error.to_string().contains("--output"), "{error}");
}
