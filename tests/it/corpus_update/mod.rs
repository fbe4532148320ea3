//! Inputs that change, vanish, appear and move: real PDFs, counted by PDFium.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    num::{NonZeroU32, NonZeroUsize},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use bulletin_ocr::{
    corpus::{
        Changes, CorpusError, Inputs, InspectFailure, Plan, SourceIntegrity, SourceState, fingerprint, plan, read,
        update, write,
    },
    imaging::{Pool, PoolSettings, RenderFailure, find_library},
    model::{Document, DocumentId, DocumentState, Fingerprint, Inspected},
};
use oorandom::Rand32;
use rustix::{fs::CWD, process::getuid, thread::set_thread_res_uid};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Sample files with their pages.
const SAMPLES: [(&str, u32); 3] =
    [("gazettes/fr/BO_7510_Fr.pdf", 4), ("gazettes/ar/BO_7412_Ar.pdf", 3), ("gazettes/ar/BO_3559_Ar.PDF", 1)];
const FR: usize = 0;
const AR: usize = 1;
const ONE: usize = 2;

/// Input folders of a test. Every file written is newer than all before, by the second.
struct Corpus {
    folder: TempDir,
    seconds: u64,
}

impl Corpus {
    fn new(files: &[(&str, usize)]) -> Self {
        let mut corpus = Corpus { folder: tempfile::tempdir().unwrap(), seconds: 1_700_000_000 };
        for (name, sample) in files {
            corpus.write(name, *sample);
        }
        corpus
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A sample with a comment at its end, so that its bytes are like no others.
    fn write(&mut self, name: &str, sample: usize) {
        let mut bytes = fs::read(data(SAMPLES[sample].0)).unwrap();
        bytes.extend_from_slice(format!("\n% {:010}\n", self.seconds + 1).as_bytes());
        self.write_bytes(name, &bytes);
    }

    fn write_bytes(&mut self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self.touch(name);
    }

    fn touch(&mut self, name: &str) {
        self.seconds += 1;
        set_time(&self.path(name), self.seconds);
    }

    fn rename(&self, from: &str, to: &str) {
        fs::create_dir_all(self.path(to).parent().unwrap()).unwrap();
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    fn inputs(&self, names: &[&str]) -> Inputs {
        Inputs { paths: names.iter().map(|name| self.path(name)).collect(), lists: Vec::new() }
    }

    fn plan(&self, names: &[&str]) -> Plan {
        let pdfium = Pdfium::start(None);
        plan(&self.inputs(names), pdfium.inspect(), threads()).unwrap()
    }
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn set_time(path: &Path, seconds: u64) {
    File::open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
}

fn threads() -> NonZeroUsize {
    NonZeroUsize::new(2).unwrap()
}

/// Real renderer children. They keep files open, so each start of a run has its own.
struct Pdfium {
    pool: Pool,
    password: Option<&'static str>,
    runtime: Runtime,
}

impl Pdfium {
    fn start(password: Option<&'static str>) -> Self {
        let runtime = Runtime::new().unwrap();
        let settings = PoolSettings {
            program: env!("CARGO_BIN_EXE_bocr").into(),
            pdfium: find_library(None).unwrap(),
            children: NonZeroU32::MIN,
            page_limit: Duration::from_secs(60),
            child_memory: 2 << 30,
            answers_per_child: PoolSettings::ANSWERS_PER_CHILD,
        };
        Pdfium { pool: runtime.block_on(Pool::start(settings)).unwrap(), password, runtime }
    }

    fn inspect(&self) -> impl Fn(&Path, &str) -> Result<Inspected, InspectFailure> + Sync {
        |path, _| {
            self.runtime.block_on(self.pool.inspect(path, self.password)).map_err(|failure| match failure {
                RenderFailure::Page { class, reason } => InspectFailure::Document { class, reason },
                RenderFailure::PoolLost(reason) => InspectFailure::Machine(reason),
            })
        }
    }
}

/// The updated plan, as it is read back from its file.
fn updated(plan: &Plan, given: Option<&Inputs>) -> (Plan, Changes) {
    let pdfium = Pdfium::start(None);
    let (after, changes) = update(plan.clone(), given, pdfium.inspect(), threads()).unwrap();
    assert_eq!(changes.must_be_written(), after != *plan);
    let run = tempfile::tempdir().unwrap();
    write(run.path(), &after).unwrap();
    assert_eq!(read(run.path()).unwrap().as_ref(), Some(&after));
    (after, changes)
}

/// For updates in which nothing is to be inspected.
fn never(path: &Path, _: &str) -> Result<Inspected, InspectFailure> {
    panic!("{} is inspected", path.display())
}

fn assert_unchanged(plan: &Plan) {
    let (after, changes) = update(plan.clone(), None, never, threads()).unwrap();
    assert_eq!((&after, changes), (plan, Changes::default()));
}

fn ids(numbers: &[u32]) -> Vec<DocumentId> {
    numbers.iter().copied().map(DocumentId).collect()
}

/// Names and pages of the documents that stand.
fn standing(plan: &Plan) -> Vec<(&str, u32)> {
    let stands = |document: &&Document| document.state != DocumentState::Replaced;
    plan.documents.iter().filter(stands).map(|document| (document.name.as_str(), document.pages())).collect()
}

#[test]
fn an_unchanged_corpus_changes_nothing_and_is_not_read() {
    let mut corpus = Corpus::new(&[("in/fr/a.pdf", FR), ("in/ar/a.pdf", AR)]);
    symlink("fr/a.pdf", corpus.path("in/0.pdf")).unwrap();
    let plan = corpus.plan(&["in"]);
    assert_eq!(standing(&plan), [("0.pdf", 4), ("ar/a.pdf", 3)]);
    assert_unchanged(&plan);
    // The same size and time: not read, so that the other bytes are not seen.
    let path = corpus.path("in/ar/a.pdf");
    let length = fs::metadata(&path).unwrap().len() as usize;
    fs::write(&path, vec![b'x'; length]).unwrap();
    set_time(&path, corpus.seconds);
    assert_unchanged(&plan);
    corpus.touch("in/fr/a.pdf");
    let (after, changes) = update(plan.clone(), Some(&corpus.inputs(&["in"])), never, threads()).unwrap();
    assert!(changes.must_be_written() && changes.lines(&after).is_empty(), "{changes:?}");
    assert_eq!((&after.documents, &after.inputs), (&plan.documents, &plan.inputs));
    assert_unchanged(&after);
}

#[test]
fn changed_bytes_are_a_new_document_of_the_same_name() {
    let mut corpus = Corpus::new(&[("in/a.pdf", FR), ("in/b.pdf", ONE)]);
    let plan = corpus.plan(&["in"]);
    corpus.write("in/a.pdf", AR);
    let (after, changes) = updated(&plan, None);
    assert_eq!(changes.replaced, [(DocumentId(0), DocumentId(2))]);
    assert_eq!(changes.lines(&after), ["1 document changed, to be read anew: a.pdf"]);
    assert_eq!((&after.documents[0].state, after.documents[0].pages()), (&DocumentState::Replaced, 0));
    assert_eq!(after.documents[0].fingerprint, plan.documents[0].fingerprint);
    assert_eq!(standing(&after), [("b.pdf", 1), ("a.pdf", 3)]);
    assert_unchanged(&after);
    // Also where size and time say nothing: the bytes of the very same length.
    let mut bytes = fs::read(corpus.path("in/b.pdf")).unwrap();
    *bytes.last_mut().unwrap() = b' ';
    corpus.write_bytes("in/b.pdf", &bytes);
    let (_, changes) = updated(&after, None);
    assert_eq!(changes.replaced, [(DocumentId(1), DocumentId(3))]);
}

#[test]
fn new_files_are_planned_at_the_end_with_names_of_their_own() {
    let mut corpus = Corpus::new(&[("x/data/a.pdf", FR), ("y/data/a.pdf", AR), ("z/c.pdf", ONE)]);
    let plan = corpus.plan(&["x/data", "y/data", "z"]);
    assert_eq!(standing(&plan), [("x/data/a.pdf", 4), ("y/data/a.pdf", 3), ("c.pdf", 1)]);
    // In an input with longer names, in one without, and in a new one that clashes with a planned name.
    for name in ["x/data/b.pdf", "z/0.pdf", "w/c.pdf", "w/d.pdf"] {
        corpus.write(name, ONE);
    }
    let (after, changes) = updated(&plan, Some(&corpus.inputs(&["w"])));
    assert_eq!(changes.added, ids(&[3, 4, 5, 6]));
    assert_eq!(after.documents[..3], plan.documents);
    assert_eq!(standing(&after)[3..], [("x/data/b.pdf", 1), ("0.pdf", 1), ("w/c.pdf", 1), ("w/d.pdf", 1)]);
    assert_eq!(changes.lines(&after), ["4 documents new: x/data/b.pdf, 0.pdf, w/c.pdf and 1 more"]);
    // The new input is remembered.
    corpus.write("w/e.pdf", ONE);
    let (last, changes) = updated(&after, None);
    assert_eq!((changes.added, last.documents[7].name.as_str()), (ids(&[7]), "w/e.pdf"));
}

#[test]
fn documents_that_are_gone_stay_and_inputs_that_are_gone_stop_nothing() {
    let mut corpus = Corpus::new(&[("in/a.pdf", FR), ("in/b.pdf", ONE), ("more.pdf", AR)]);
    let plan = corpus.plan(&["in", "more.pdf"]);
    corpus.remove("in/a.pdf");
    corpus.remove("more.pdf");
    let given = corpus.inputs(&["in", "more.pdf"]);
    let (after, changes) = update(plan.clone(), Some(&given), never, threads()).unwrap();
    assert_eq!((&after, changes.must_be_written()), (&plan, false));
    assert_eq!(changes.vanished, ids(&[0, 2]));
    let told = "2 documents gone from the inputs, their records are kept: a.pdf, more.pdf";
    assert_eq!(changes.lines(&after), [told]);
    let wrong = update(plan.clone(), Some(&corpus.inputs(&["inn"])), never, threads()).unwrap_err();
    assert!(matches!(&wrong, CorpusError::Input { .. }) && wrong.to_string().contains("inn"), "{wrong}");
    fs::remove_dir_all(corpus.path("in")).unwrap();
    let (after, changes) = update(plan.clone(), None, never, threads()).unwrap();
    assert_eq!((&after, changes.vanished), (&plan, ids(&[0, 1, 2])));
    // What comes back with other bytes has changed; the other one is still gone.
    corpus.write("in/a.pdf", ONE);
    let (_, changes) = updated(&plan, None);
    assert_eq!((changes.replaced, changes.vanished), (vec![(DocumentId(0), DocumentId(3))], ids(&[1, 2])));
}

#[test]
fn a_corpus_that_moves_keeps_its_ids_and_names() {
    let mut corpus = Corpus::new(&[("old/fr/a.pdf", FR), ("old/ar/a.pdf", AR), ("old/ar/b.pdf", ONE)]);
    fs::copy(data("nasty/invalid.pdf"), corpus.path("old/ar/bad.pdf")).unwrap();
    symlink("nowhere.pdf", corpus.path("old/ar/link.pdf")).unwrap();
    let plan = corpus.plan(&["old/fr", "old/ar"]);
    assert_eq!(
        standing(&plan),
        [("fr/a.pdf", 4), ("ar/a.pdf", 3), ("ar/b.pdf", 1), ("ar/bad.pdf", 0), ("ar/link.pdf", 0)]
    );
    corpus.rename("old", "new");
    // One of them changes on the way: that is another file.
    corpus.write("new/ar/b.pdf", AR);
    let (after, changes) = updated(&plan, Some(&corpus.inputs(&["new/ar", "new/fr"])));
    assert_eq!((&changes.moved, &changes.vanished), (&ids(&[0, 1, 3, 4]), &ids(&[2])));
    assert_eq!((changes.added.as_slice(), &changes.replaced), (ids(&[5]).as_slice(), &Vec::new()));
    assert_eq!(after.documents[5].name, "new/ar/b.pdf");
    for (now, then) in after.documents.iter().zip(&plan.documents).filter(|(now, _)| now.id != DocumentId(2)) {
        let path = corpus.path("new").join(&then.name);
        let Document { state, .. } = now.clone();
        if let DocumentState::Refused { reason, .. } = &state {
            assert!(reason.contains(path.to_str().unwrap()), "{reason}");
        }
        assert_eq!(*now, Document { path, state, ..then.clone() });
    }
    let (again, changes) = updated(&after, None);
    assert_eq!((again, changes.vanished), (after, ids(&[2])));
}

#[test]
fn a_copy_or_another_file_of_the_name_is_no_move() {
    let corpus = Corpus::new(&[("one/a.pdf", FR)]);
    let plan = corpus.plan(&["one"]);
    fs::create_dir(corpus.path("two")).unwrap();
    fs::copy(corpus.path("one/a.pdf"), corpus.path("two/a.pdf")).unwrap();
    let (after, changes) = updated(&plan, Some(&corpus.inputs(&["two"])));
    assert_eq!((changes.added, changes.moved.len()), (ids(&[1]), 0));
    assert_eq!(standing(&after), [("a.pdf", 4), ("two/a.pdf", 4)]);
    // The first goes, the second stays: nothing has moved, it is known.
    corpus.remove("one/a.pdf");
    let (last, changes) = updated(&after, None);
    assert_eq!((last, changes.vanished, changes.moved.len()), (after, ids(&[0]), 0));
}

#[test]
fn refused_documents_are_inspected_again() {
    let mut corpus = Corpus::new(&[("in/good.pdf", ONE)]);
    for name in ["BO_7500_Fr_truncated.pdf", "BO_7500_Fr_userpw.pdf", "invalid.pdf"] {
        fs::copy(data("nasty").join(name), corpus.path("in").join(name)).unwrap();
    }
    symlink("good.pdf.later", corpus.path("in/link.pdf")).unwrap();
    let plan = corpus.plan(&["in"]);
    let pages: Vec<_> = plan.documents.iter().map(Document::pages).collect();
    assert_eq!(pages, [0, 0, 1, 0, 0]);
    assert_eq!(updated(&plan, None), (plan.clone(), Changes::default()));
    // The truncated one comes whole, the link leads somewhere, the password is known.
    corpus.write("in/BO_7500_Fr_truncated.pdf", FR);
    corpus.write("in/good.pdf.later", AR);
    let pdfium = Pdfium::start(Some("user-secret"));
    let (after, changes) = update(plan.clone(), None, pdfium.inspect(), threads()).unwrap();
    assert_eq!((&changes.mended, &changes.replaced), (&ids(&[1, 4]), &vec![(DocumentId(0), DocumentId(5))]));
    let pages: Vec<_> = after.documents.iter().map(Document::pages).collect();
    assert_eq!(pages, [0, 3, 1, 0, 3, 4]);
    assert_eq!(after.documents[1].fingerprint, plan.documents[1].fingerprint);
    assert!(after.documents[4].fingerprint.is_some() && after.modified[4].is_some());
    assert_eq!(changes.lines(&after)[1], "2 documents refused before, readable now: BO_7500_Fr_userpw.pdf, link.pdf");
}

#[test]
fn a_folder_that_can_be_listed_at_last_gives_way_to_its_documents() {
    let corpus = Corpus::new(&[("in/good.pdf", ONE), ("in/closed/a.pdf", AR)]);
    let (open, closed) = (fs::Permissions::from_mode(0o755), fs::Permissions::from_mode(0o000));
    fs::set_permissions(corpus.folder.path(), open.clone()).unwrap();
    fs::set_permissions(corpus.path("in/closed"), closed).unwrap();
    let inputs = corpus.inputs(&["in"]);
    let planning = thread::spawn(move || {
        if getuid().is_root() {
            // Only of this thread and those it starts: root may list everything.
            let nobody = rustix::process::Uid::from_raw(65534);
            set_thread_res_uid(nobody, nobody, nobody).unwrap();
        }
        plan(&inputs, |_, _| Ok(Inspected::whole(1)), threads()).unwrap()
    });
    let plan = planning.join().unwrap();
    assert_eq!(standing(&plan), [("closed", 0), ("good.pdf", 1)]);
    fs::set_permissions(corpus.path("in/closed"), open).unwrap();
    let (after, changes) = updated(&plan, None);
    assert_eq!((&changes.mended, &changes.added), (&ids(&[0]), &ids(&[2])));
    assert_eq!(standing(&after), [("good.pdf", 1), ("closed/a.pdf", 3)]);
    assert_unchanged(&after);
}

#[test]
fn a_file_that_is_reached_twice_is_one_document_still() {
    let mut corpus = Corpus::new(&[("in/m.pdf", FR), ("in/n.pdf", AR)]);
    symlink("n.pdf", corpus.path("in/z.pdf")).unwrap();
    let plan = corpus.plan(&["in"]);
    // A new link comes first in its folder; the file that the other link leads to changes.
    symlink("m.pdf", corpus.path("in/a.pdf")).unwrap();
    corpus.write("in/n.pdf", ONE);
    let (after, changes) = updated(&plan, None);
    assert_eq!(changes.replaced, [(DocumentId(1), DocumentId(2))]);
    assert_eq!(standing(&after), [("m.pdf", 4), ("n.pdf", 1)]);
    // A document's file becomes a link to another document's: that one stands for it.
    corpus.remove("in/m.pdf");
    symlink("n.pdf", corpus.path("in/m.pdf")).unwrap();
    let (last, changes) = updated(&after, None);
    assert_eq!(changes.replaced, [(DocumentId(0), DocumentId(2))]);
    assert_eq!(standing(&last), [("n.pdf", 1)]);
    assert_unchanged(&last);
}

#[test]
fn lists_are_read_again_and_what_cannot_be_is_kept_as_paths() {
    let mut corpus = Corpus::new(&[("a.pdf", FR), ("b.pdf", AR), ("c.pdf", ONE), ("d.pdf", ONE)]);
    let up = "../".repeat(std::env::current_dir().unwrap().components().count());
    let relative = PathBuf::from(format!("{up}{}", corpus.path("b.pdf").display()).replace("//", "/"));
    let list = corpus.path("list.txt");
    fs::write(&list, format!("{}\n{}\n", corpus.path("a.pdf").display(), relative.display())).unwrap();
    let pipe = corpus.path("pipe");
    rustix::fs::mkfifoat(CWD, &pipe, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let (to, line) = (pipe.clone(), format!("{}\n", corpus.path("c.pdf").display()));
    let writer = thread::spawn(move || fs::write(to, line).unwrap());
    let given = Inputs { paths: Vec::new(), lists: vec![list.clone(), pipe] };
    let plan = plan(&given, Pdfium::start(None).inspect(), threads()).unwrap();
    writer.join().unwrap();
    assert_eq!(plan.inputs.lists, std::slice::from_ref(&list));
    assert_eq!(plan.inputs.paths, [std::path::absolute(&relative).unwrap(), corpus.path("c.pdf")]);
    assert_unchanged(&plan);
    // A line more is a document more; a line less changes nothing, for the file is there.
    fs::write(&list, format!("{}\n", corpus.path("d.pdf").display())).unwrap();
    let (after, changes) = updated(&plan, None);
    assert_eq!(changes.added, ids(&[3]));
    assert_eq!(changes.lines(&after).len(), 1, "{changes:?}");
    assert_eq!(standing(&after), [("a.pdf", 4), ("b.pdf", 3), ("c.pdf", 1), ("d.pdf", 1)]);
    corpus.write("a.pdf", AR);
    fs::remove_file(&list).unwrap();
    let (last, changes) = updated(&after, Some(&Inputs { paths: Vec::new(), lists: vec![list] }));
    assert_eq!((changes.replaced, changes.vanished), (vec![(DocumentId(0), DocumentId(4))], Vec::new()));
    assert_eq!(last.inputs, plan.inputs);
}

#[test]
fn originals_tell_files_that_are_no_longer_the_planned_ones() {
    let mut corpus = Corpus::new(&[("in/a.pdf", FR), ("in/b.pdf", AR), ("in/c.pdf", ONE), ("in/d.pdf", ONE)]);
    let originals = SourceIntegrity::new(corpus.plan(&["in"]));
    let check = |id| originals.check(DocumentId(id));
    assert_eq!(originals.documents()[3].name, "d.pdf");
    assert_eq!([0, 1, 2, 3].map(check), [const { SourceState::AsPlanned }; 4]);
    // Touched, rewritten with bytes of the same length, rewritten with others, removed.
    corpus.touch("in/a.pdf");
    let mut bytes = fs::read(corpus.path("in/b.pdf")).unwrap();
    *bytes.last_mut().unwrap() = b' ';
    corpus.write_bytes("in/b.pdf", &bytes);
    corpus.write("in/c.pdf", AR);
    corpus.remove("in/d.pdf");
    assert_eq!(check(0), SourceState::AsPlanned);
    assert!(matches!(check(3), SourceState::Gone { reason } if reason.contains("d.pdf")));
    for (id, name) in [(1, "in/b.pdf"), (2, "in/c.pdf")] {
        let SourceState::Changed { reason } = check(id) else { panic!("{name} is taken to be as planned") };
        assert!(reason.contains(name) && reason.contains("run the same command again"), "{reason}");
    }
    // Read once: other bytes of the size and time that were seen are not looked at.
    let (path, seconds) = (corpus.path("in/a.pdf"), corpus.seconds);
    let touched = fs::metadata(&path).unwrap();
    let planned = fs::read(&path).unwrap();
    fs::write(&path, vec![b'x'; planned.len()]).unwrap();
    File::open(&path).unwrap().set_modified(touched.modified().unwrap()).unwrap();
    assert_eq!(check(0), SourceState::AsPlanned);
    set_time(&path, seconds + 1);
    assert!(matches!(check(0), SourceState::Changed { .. }));
    // The planned bytes at last.
    fs::write(&path, planned).unwrap();
    set_time(&path, seconds + 2);
    assert_eq!(check(0), SourceState::AsPlanned);
    assert!(matches!(check(9), SourceState::Changed { .. }));
}

/// A folder's regular files.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files(&entry.path(), found);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
}

/// What must be true after every update.
fn assert_sound(before: &Plan, after: &Plan, changes: &Changes, root: &Path, pages: &BTreeMap<String, u32>) {
    assert!(after.documents.iter().enumerate().all(|(index, document)| document.id.index() == index));
    assert_eq!(after.documents.len(), after.modified.len());
    let stands = |document: &&Document| document.state != DocumentState::Replaced;
    let standing: Vec<&Document> = after.documents.iter().filter(stands).collect();
    let names: BTreeSet<&str> = standing.iter().map(|document| document.name.as_str()).collect();
    assert_eq!(names.len(), standing.len(), "{names:?}");
    for (then, now) in before.documents.iter().zip(&after.documents) {
        assert_eq!((&then.name, &then.edition), (&now.name, &now.edition));
        assert!(then.fingerprint.is_none() || then.fingerprint == now.fingerprint, "{then:?} {now:?}");
        assert!(then.state != DocumentState::Replaced || now.state == DocumentState::Replaced);
        assert!(then.pages() == 0 || now.state == DocumentState::Replaced || then.pages() == now.pages());
    }
    let mut found = Vec::new();
    files(root, &mut found);
    for path in found {
        let Fingerprint { sha256, .. } = fingerprint(&path).unwrap();
        let holds = |document: &&&Document| {
            let hash = document.fingerprint.as_ref().map(|fingerprint| &fingerprint.sha256);
            fs::canonicalize(&document.path).is_ok_and(|of| of == path) && hash == Some(&sha256)
        };
        let holders: Vec<_> = standing.iter().filter(holds).collect();
        // Only documents of earlier plans may have come to share a file.
        let new = holders.iter().filter(|document| document.id.index() >= before.documents.len()).count();
        assert!(!holders.is_empty() && (holders.len() == 1 || new == 0), "{}: {holders:#?}", path.display());
        assert!(holders.iter().all(|document| document.pages() == pages[&sha256]), "{holders:#?}");
    }
    for document in standing {
        let gone = document.fingerprint.is_some() && !document.path.is_file();
        assert!(!gone || changes.vanished.contains(&document.id), "{document:?}");
    }
}

#[test]
fn any_sequence_of_edits_keeps_ids_names_and_files_together() {
    for seed in 0..4 {
        let mut random = Rand32::new(seed);
        let mut pick = move |most: u32| random.rand_range(0..most);
        let mut corpus = Corpus::new(&[("all-0/one/fr/a.pdf", FR), ("all-0/two/fr/a.pdf", AR)]);
        let mut root = "all-0".to_owned();
        let mut plan = corpus.plan(&["all-0/one", "all-0/two"]);
        let mut pages = BTreeMap::new();
        for round in 1..=16 {
            let moving = pick(5) == 0;
            let mut edits = Vec::new();
            if moving {
                let next = format!("all-{round}");
                corpus.rename(&root, &next);
                edits.push(format!("{root} -> {next}"));
                root = next;
            }
            for _ in 0..if moving { 0 } else { 3 + pick(4) } {
                let mut name = || {
                    let (input, folder, file) = (pick(2) as usize, pick(2) as usize, pick(3) as usize);
                    format!(
                        "{root}/{}{}{}",
                        ["one/", "two/"][input],
                        ["", "fr/"][folder],
                        ["a.pdf", "b.PDF", "c.pdf"][file]
                    )
                };
                let (name, other) = (name(), name());
                let (path, edit) = (corpus.path(&name), pick(10));
                edits.push(format!("{edit} {name} {other}"));
                match edit {
                    0..4 if !path.is_symlink() => corpus.write(&name, pick(3) as usize),
                    4 if path.is_file() => corpus.touch(&name),
                    5 | 6 if path.is_symlink() || path.exists() => corpus.remove(&name),
                    7 | 8 if path.is_file() && !path.is_symlink() => corpus.rename(&name, &other),
                    9 if !path.exists() && !path.is_symlink() => {
                        fs::create_dir_all(path.parent().unwrap()).unwrap();
                        let below = other.strip_prefix(&root).unwrap().trim_start_matches('/');
                        let up = "../".repeat(name.split('/').count() - 2);
                        symlink(format!("{up}{below}"), path).unwrap();
                    }
                    _ => {}
                }
            }
            let mut found = Vec::new();
            files(&corpus.path(&root), &mut found);
            for path in found {
                let bytes = fs::read(&path).unwrap();
                let starts = |(sample, _): &&(&str, u32)| bytes.starts_with(&fs::read(data(sample)).unwrap());
                let sample = SAMPLES.iter().find(starts).unwrap();
                pages.insert(fingerprint(&path).unwrap().sha256, sample.1);
            }
            let inputs = corpus.inputs(&[&format!("{root}/one"), &format!("{root}/two")]);
            let (after, changes) = updated(&plan, moving.then_some(&inputs));
            eprintln!("seed {seed} round {round}: {edits:#?}\n{changes:?}");
            assert_sound(&plan, &after, &changes, &fs::canonicalize(corpus.path(&root)).unwrap(), &pages);
            if moving {
                // Only a link to nowhere may be new: where a vanished document's file was.
                let bytes = |id: &DocumentId| after.documents[id.index()].fingerprint.as_ref();
                assert!(changes.added.iter().all(|id| bytes(id).is_none()) && changes.replaced.is_empty());
            }
            let (again, changes) = updated(&after, None);
            assert_eq!((&again, changes.must_be_written()), (&after, false), "{changes:?}");
            plan = after;
        }
        assert!(plan.documents.len() > 10, "too little has happened with seed {seed}");
    }
}
