//! The renderer pool with real children, real PDFium and real (also hostile) files.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    num::NonZeroU32,
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use bulletin_ocr::{
    imaging::{EncodedPage, Pool, PoolSettings, RenderFailure, RenderJob, StartError, find_library},
    model::{BBox, FailureClass, Grid, ImageRule, LayoutRule, PageIndex, Scaling, View},
};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use tempfile::TempDir;
use tokio::io::unix::AsyncFd;

const CHANDRA_2: ImageRule = ImageRule {
    dpi: 192.0,
    min_side: 1024,
    max_side: None,
    min_pixels: 50_176,
    max_pixels: 6_291_456,
    grid: Grid::Cells(28),
    scaling: Scaling::Direct,
};
const BOCR: &str = env!("CARGO_BIN_EXE_bocr");

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn settings(children: u32) -> PoolSettings {
    PoolSettings {
        program: BOCR.into(),
        pdfium: find_library(None).unwrap(),
        children: NonZeroU32::new(children).unwrap(),
        page_limit: Duration::from_secs(60),
        child_memory: 2 << 30,
        answers_per_child: PoolSettings::ANSWERS_PER_CHILD,
    }
}

async fn pool() -> Pool {
    Pool::start(settings(2)).await.unwrap()
}

fn job(document: PathBuf, page: u32) -> RenderJob {
    RenderJob {
        document,
        password: None,
        page: PageIndex(page),
        rule: CHANDRA_2,
        layout: LayoutRule::AS_IS,
        view: View::Whole,
    }
}

fn decode(page: &EncodedPage) -> image::DynamicImage {
    image::load_from_memory(&page.parts[0].png).unwrap()
}

fn class(failure: RenderFailure) -> (FailureClass, String) {
    match failure {
        RenderFailure::Page { class, reason } => (class, reason),
        RenderFailure::PoolLost(reason) => panic!("the pool is lost: {reason}"),
    }
}

/// A PDF of one A4 page with this content and these further entries of the page; PDFium finds the objects without a
/// table.
fn write_pdf(folder: &TempDir, entries: &str, content: &str) -> PathBuf {
    let path = folder.path().join("page.pdf");
    let length = content.len();
    let text = format!(
        "%PDF-1.4\n1 0 obj <</Type/Catalog/Pages 2 0 R>> endobj\n2 0 obj <</Type/Pages/Kids[3 0 R]/Count 1>> endobj\n\
         3 0 obj <</Type/Page/Parent 2 0 R/MediaBox[0 0 595.276 841.89]/Contents 4 0 R\
         /Resources<</Font<</F 5 0 R>>>>{entries}>> endobj\n4 0 obj <</Length {length}>> stream\n{content}\nendstream endobj\n\
         5 0 obj <</Type/Font/Subtype/Type1/BaseFont/Helvetica>> endobj\n\
         6 0 obj <</Type/Annot/Subtype/Square/Rect[100 100 300 300]/F 4/AP<</N 7 0 R>>>> endobj\n\
         7 0 obj <</Type/XObject/Subtype/Form/BBox[0 0 200 200]/Length 32>> stream\n1 0 0 rg 0 0 200 200 re f       \nendstream endobj\n\
         trailer <</Root 1 0 R>>\n%%EOF\n"
    );
    fs::write(&path, text).unwrap();
    path
}

#[tokio::test]
async fn gazette_pages_are_drawn_at_the_size_of_the_engine() {
    let pool = pool().await;
    let pages =
        [("digital_fr.pdf", 2), ("digital_ar.pdf", 1), ("scan_fr.pdf", 1), ("scan_ar.pdf", 1), ("cover_fr.pdf", 1)];
    for (name, count) in pages {
        let document = data("pages").join(name);
        assert_eq!(pool.inspect(&document, None).await.unwrap().pages, count, "{name}");
        for page in 0..count {
            let image = pool.render(job(document.clone(), page)).await.unwrap().unwrap();
            let facts = image.facts;
            assert_eq!((facts.size.width, facts.size.height), (1596, 2240), "{name}");
            assert!(!image.blank && facts.ink > 0.02, "{name}: {facts:?}");
            assert_eq!(facts.encoded_bytes as usize, image.parts[0].png.len());
            let decoded = decode(&image);
            assert_eq!((decoded.width(), decoded.height()), (1596, 2240));
            assert_eq!(decoded.color() == image::ColorType::L8, facts.grey, "{name}");
            let corner = decoded.to_luma8().get_pixel(12, 12).0[0];
            assert!(corner > 200, "{name}: the paper is white, the corner has {corner}");
        }
    }
}

#[tokio::test]
async fn a_reduced_page_is_the_whole_page_with_shorter_sides() {
    let pool = pool().await;
    let reduced = RenderJob { view: View::Reduced, ..job(data("pages/digital_ar.pdf"), 0) };
    let image = pool.render(reduced).await.unwrap().unwrap();
    assert_eq!((image.facts.size.width, image.facts.size.height), (1260, 1792));
    assert_eq!(image.parts[0].shown.bbox, BBox::PAGE);
    assert!((image.facts.dpi - 153.6).abs() < 1.5, "{}", image.facts.dpi);
}

/// Put together, the halves are the page: nothing is lost or drawn otherwise.
#[tokio::test]
async fn the_halves_of_a_page_are_its_rows_cut_where_nothing_is_printed() {
    let pool = pool().await;
    // A page with columns is divided at those first.
    let columns = RenderJob { view: View::Halves, ..job(data("pages/digital_fr.pdf"), 0) };
    let columns = pool.render(columns).await.unwrap().unwrap();
    assert!(columns.parts.len() >= 3 && columns.layout.columns.divide.is_some(), "{:?}", columns.layout);
    let name = "cover_fr.pdf";
    let document = data("pages").join(name);
    let whole = decode(&pool.render(job(document.clone(), 0)).await.unwrap().unwrap()).to_luma8();
    let halves = RenderJob { view: View::Halves, ..job(document.clone(), 0) };
    let halves = pool.render(halves).await.unwrap().unwrap_or_else(|| panic!("{name} has a white band"));
    assert_eq!(halves.parts.len(), 2, "{name}");
    for half in &halves.parts {
        let size = half.shown.size;
        assert!(size.height.is_multiple_of(28) && size.width == 1596, "{name}");
        assert!(!half.blank, "{name}");
        let place = f64::from(half.shown.bbox.bottom - half.shown.bbox.top) * 2.24;
        assert!((place - f64::from(size.height)).abs() < 3.0, "{name}: {:?}", half.shown);
    }
    let halves: Vec<_> =
        halves.parts.iter().map(|half| image::load_from_memory(&half.png).unwrap().to_luma8()).collect();
    let [upper, lower] = [&halves[0], &halves[1]];
    // White rows were added at the cut: the upper half is a head of the page, the lower a tail.
    let row = |image: &image::GrayImage, y: u32| image.rows().nth(y as usize).unwrap().copied().collect::<Vec<_>>();
    let cut = (0..upper.height()).take_while(|y| row(upper, *y) == row(&whole, *y)).count() as u32;
    assert!((784..=1456 + 28).contains(&cut), "{name} is cut at row {cut}");
    let tail = (1..=lower.height())
        .take_while(|y| row(lower, lower.height() - y) == row(&whole, whole.height() - y))
        .count() as u32;
    assert!(cut + tail >= whole.height(), "{name}: rows {cut} to {} are in neither half", whole.height() - tail);
}

#[tokio::test]
async fn a_page_without_a_white_band_has_no_halves() {
    let folder = tempfile::tempdir().unwrap();
    let dark = write_pdf(&folder, "", "0 g 100 100 300 600 re f");
    let half = RenderJob { view: View::Halves, ..job(dark, 0) };
    assert_eq!(pool().await.render(half).await.unwrap(), None);
}

#[tokio::test]
async fn pages_without_colour_are_grey_and_others_are_not() {
    let pool = pool().await;
    let scan = pool.render(job(data("pages/scan_fr.pdf"), 0)).await.unwrap().unwrap();
    assert!(scan.facts.grey);
    let folder = tempfile::tempdir().unwrap();
    let coloured = write_pdf(&folder, "", "0 0.5 0 rg 100 100 200 200 re f");
    let image = pool.render(job(coloured, 0)).await.unwrap().unwrap();
    assert!(!image.facts.grey);
    assert_eq!(decode(&image).to_rgb8().get_pixel(532, 1700).0, [0, 128, 0]);
}

#[tokio::test]
async fn pages_in_flight_together_get_their_own_images() {
    let pool = pool().await;
    let files = ["digital_fr.pdf", "digital_ar.pdf", "scan_fr.pdf", "scan_ar.pdf"].map(|name| data("pages").join(name));
    let mut alone = Vec::new();
    for file in &files {
        alone.push(pool.render(job(file.clone(), 0)).await.unwrap().unwrap().parts[0].png.clone());
    }
    let many = (0..12).map(|i| pool.render(job(files[i % files.len()].clone(), 0)));
    for (i, image) in futures_util::future::join_all(many).await.into_iter().enumerate() {
        assert!(image.unwrap().unwrap().parts[0].png == alone[i % files.len()], "request {i} got another page");
    }
}

#[tokio::test]
async fn rotation_annotations_and_blank_pages() {
    let pool = Pool::start(settings(1)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let draw = async |entries: &str, content: &str| {
        let folder = TempDir::new_in(folder.path()).unwrap();
        pool.render(job(write_pdf(&folder, entries, content), 0)).await.unwrap().unwrap()
    };
    assert!(draw("", "").await.blank);
    assert!(!draw("", "BT /F 9 Tf 80 400 Td (Article premier.) Tj ET").await.blank, "one line of text");
    assert!(!draw("", "BT /F 9 Tf 80 810 Td (7) Tj ET").await.blank, "a page number");
    let annotated = draw("/Annots[6 0 R]", "").await;
    assert!(!annotated.blank && !annotated.facts.grey, "an annotation is drawn");
    let turned = draw("/Rotate 90", "0 g 0 0 100 100 re f").await;
    assert_eq!((turned.facts.size.width, turned.facts.size.height), (2240, 1596));
    let image = decode(&turned).to_luma8();
    assert_eq!(image.get_pixel(20, 20).0, [0], "the lower left corner comes to the upper left");
    assert_eq!(image.get_pixel(20, 1500).0, [255]);
}

#[tokio::test]
async fn a_file_that_is_no_pdf_is_refused_with_what_it_looks_like() {
    let pool = pool().await;
    let cases = [
        ("BO_9003_Ar.pdf", FailureClass::Unreadable, "an empty file"),
        ("BO_9002_Fr.pdf", FailureClass::Unreadable, "an HTML page, not a PDF"),
        ("invalid.pdf", FailureClass::Unreadable, "a PDF header without contents"),
        ("BO_9001_Fr_zeropage.pdf", FailureClass::Unreadable, "without pages"),
        ("BO_7500_Fr_truncated.pdf", FailureClass::Unreadable, "truncated: no end-of-file marker"),
        ("BO_7500_Fr_userpw.pdf", FailureClass::Encrypted, "[[passwords]]"),
        ("absent.pdf", FailureClass::Unreadable, "No such file"),
    ];
    for (name, expected, words) in cases {
        let path = data("nasty").join(name);
        for failure in
            [pool.inspect(&path, None).await.unwrap_err(), pool.render(job(path.clone(), 0)).await.unwrap_err()]
        {
            let (class, reason) = class(failure);
            assert_eq!(class, expected, "{name}: {reason}");
            assert!(reason.contains(words) && reason.contains(name), "{reason}");
        }
    }
}

#[tokio::test]
async fn a_password_opens_a_document_and_a_wrong_one_is_named() {
    let pool = pool().await;
    let path = data("nasty/BO_7500_Fr_userpw.pdf");
    assert_eq!(pool.inspect(&path, Some("user-secret")).await.unwrap().pages, 3);
    let with = |password: &str| RenderJob { password: Some(password.into()), ..job(path.clone(), 2) };
    assert!(!pool.render(with("user-secret")).await.unwrap().unwrap().blank);
    let (class, reason) = class(pool.render(with("guess")).await.unwrap_err());
    assert_eq!(class, FailureClass::Encrypted);
    assert!(reason.contains("is wrong") && !reason.contains("guess"), "{reason}");
}

#[tokio::test]
async fn a_page_that_is_not_there_fails_alone() {
    let pool = pool().await;
    let (class, reason) = class(pool.render(job(data("pages/digital_fr.pdf"), 2)).await.unwrap_err());
    assert_eq!(class, FailureClass::RenderFailed);
    assert!(reason.contains("page 3: no such page: the document has 2"), "{reason}");
}

#[tokio::test]
async fn a_monstrous_page_is_drawn_within_the_bound() {
    let pool = pool().await;
    let image = pool.render(job(data("nasty/hugemono.pdf"), 0)).await.unwrap().unwrap();
    assert_eq!((image.facts.size.width, image.facts.size.height), (2492, 2520));
    assert!(!image.blank);
}

#[tokio::test]
async fn a_page_beyond_the_memory_limit_is_too_large_and_costs_only_itself() {
    let pool = Pool::start(PoolSettings { child_memory: 256 << 20, ..settings(1) }).await.unwrap();
    let rule = ImageRule { dpi: 2400.0, max_pixels: u64::MAX, grid: Grid::Free, ..CHANDRA_2 };
    let large = RenderJob { rule, ..job(data("pages/digital_fr.pdf"), 0) };
    let (class, reason) = class(pool.render(large).await.unwrap_err());
    assert_eq!(class, FailureClass::TooLarge, "{reason}");
    assert!(reason.contains("digital_fr.pdf page 1") && reason.contains("imaging.child_memory"), "{reason}");
    assert!(pool.render(job(data("pages/digital_fr.pdf"), 0)).await.is_ok());
}

/// PDFium draws a page without the image that it has no memory for: it must not pass for blank.
#[tokio::test]
async fn an_image_beyond_the_memory_limit_is_no_blank_page() {
    let pool = Pool::start(PoolSettings { child_memory: 256 << 20, ..settings(1) }).await.unwrap();
    let (class, reason) = class(pool.render(job(data("nasty/hugemono.pdf"), 0)).await.unwrap_err());
    assert_eq!(class, FailureClass::TooLarge, "{reason}");
    assert!(reason.contains("takes 153125000 bytes") && reason.contains("imaging.child_memory"), "{reason}");
    assert!(pool.render(job(data("pages/scan_fr.pdf"), 0)).await.is_ok());
}

#[tokio::test]
async fn a_library_that_is_not_pdfium_is_said_at_the_start() {
    let error = Pool::start(PoolSettings { pdfium: BOCR.into(), ..settings(1) }).await.unwrap_err();
    assert!(matches!(error, StartError::Unusable(_)));
    assert!(error.to_string().contains("8149"), "{error}");
    let error = Pool::start(PoolSettings { program: "/nowhere/bocr".into(), ..settings(1) }).await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/bocr"), "{error}");
}

/// A program that runs `script` before it becomes the real child; `$STARTS` is a file with the process id of every
/// start.
struct Wrapped {
    folder: TempDir,
}

impl Wrapped {
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let starts = folder.path().join("starts");
        let program = folder.path().join("bocr");
        let text = format!(
            "#!/bin/sh\nSTARTS={}\necho $$ >> $STARTS\nBOCR={BOCR}\n{script}\nexec $BOCR \"$@\"\n",
            starts.display()
        );
        // Written by another process: a file that this one ever had open for writing cannot be run while a sibling
        // thread starts a child.
        let mut shell = Command::new("sh");
        shell.args(["-c", "printf %s \"$1\" > \"$2\" && chmod 755 \"$2\"", "sh", &text]).arg(&program);
        assert!(shell.status().unwrap().success());
        assert_eq!(fs::metadata(&program).unwrap().permissions().mode() & 0o777, 0o755);
        Wrapped { folder }
    }

    fn settings(&self, children: u32) -> PoolSettings {
        PoolSettings { program: self.folder.path().join("bocr"), ..settings(children) }
    }

    fn starts(&self) -> Vec<Pid> {
        let text = fs::read_to_string(self.folder.path().join("starts")).unwrap();
        text.lines().map(|line| Pid::from_raw(line.parse().unwrap()).unwrap()).collect()
    }
}

/// PDFium draws what it has read and passes over the rest: the page would look blank.
#[tokio::test]
async fn a_file_that_is_cut_or_swapped_under_an_open_document_is_never_drawn_in_part() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gazette.pdf");
    fs::copy(data("gazettes/fr/BO_7510_Fr.pdf"), &path).unwrap();
    let pool = Pool::start(settings(1)).await.unwrap();
    let whole = pool.render(job(path.clone(), 0)).await.unwrap().unwrap();
    assert!(!whole.blank);
    fs::File::options().write(true).open(&path).unwrap().set_len(20_000).unwrap();
    let (found, reason) = class(pool.render(job(path.clone(), 1)).await.unwrap_err());
    assert_eq!(found, FailureClass::Unreadable, "{reason}");
    let other = folder.path().join("other.pdf");
    fs::copy(data("pages/cover_fr.pdf"), &other).unwrap();
    fs::rename(&other, &path).unwrap();
    let swapped = pool.render(job(path.clone(), 0)).await.unwrap().unwrap();
    assert_ne!(swapped.parts, whole.parts, "the document that is there now is drawn");
    // Gone, but whole and open: what it holds can still be drawn.
    fs::remove_file(&path).unwrap();
    assert_eq!(pool.render(job(path, 0)).await.unwrap().unwrap().parts[0].png, swapped.parts[0].png);
}

#[tokio::test]
async fn a_child_that_is_killed_costs_nothing() {
    let wrapped = Wrapped::new("");
    let pool = Pool::start(wrapped.settings(1)).await.unwrap();
    for page in [0, 1, 0] {
        kill_process(*wrapped.starts().last().unwrap(), Signal::KILL).unwrap();
        pool.render(job(data("pages/digital_fr.pdf"), page)).await.unwrap().unwrap();
    }
    assert_eq!(wrapped.starts().len(), 4);
}

#[tokio::test]
async fn a_page_at_which_two_children_hang_fails_in_bounded_time() {
    let limit = Duration::from_secs(3);
    let wrapped = Wrapped::new(&ready_then("exec sleep 1000"));
    let pool = Pool::start(PoolSettings { page_limit: limit, ..wrapped.settings(1) }).await.unwrap();
    let started = Instant::now();
    let failure = pool.render(job(data("pages/digital_fr.pdf"), 0)).await.unwrap_err();
    let (class, reason) = class(failure);
    assert_eq!(class, FailureClass::RenderTimeout, "{reason}");
    assert!(reason.contains("page 1") && reason.contains("imaging.page_limit"), "{reason}");
    assert!(started.elapsed() < 4 * limit);
    pool.render(job(data("pages/digital_fr.pdf"), 0)).await.unwrap().unwrap();
}

/// Whoever was waiting for a slow disk is not at fault for it.
#[tokio::test]
async fn a_child_that_stands_still_once_costs_nothing_but_time() {
    let wrapped = Wrapped::new("");
    let limit = Duration::from_secs(3);
    let pool = Pool::start(PoolSettings { page_limit: limit, ..wrapped.settings(1) }).await.unwrap();
    kill_process(wrapped.starts()[0], Signal::STOP).unwrap();
    pool.render(job(data("pages/digital_fr.pdf"), 0)).await.unwrap().unwrap();
    assert_eq!(wrapped.starts().len(), 2);
}

/// Says that it is ready, as the real child does, waits for a request and then runs `misdeed`.
fn ready_then(misdeed: &str) -> String {
    format!("if [ $(wc -l < $STARTS) -le 2 ]; then\n$BOCR \"$@\" < /dev/null\nhead -c 1 > /dev/null\n{misdeed}\nfi")
}

#[tokio::test]
async fn a_page_that_crashes_two_children_fails_and_the_next_is_drawn() {
    for (misdeed, expected, words) in [
        ("kill -SEGV $$", FailureClass::RenderFailed, "signal: 11"),
        ("echo garbage on the pipe; exit 0", FailureClass::RenderFailed, "not an answer"),
        ("echo 'memory allocation of 9 bytes failed' >&2; kill -ABRT $$", FailureClass::TooLarge, "child_memory"),
    ] {
        let wrapped = Wrapped::new(&ready_then(misdeed));
        let pool = Pool::start(wrapped.settings(1)).await.unwrap();
        let mut failures = Vec::new();
        while let Err(failure) = pool.render(job(data("pages/digital_fr.pdf"), 1)).await {
            let (class, reason) = class(failure);
            assert_eq!(class, expected, "{reason}");
            assert!(reason.contains("digital_fr.pdf page 2") && reason.contains(words), "{reason}");
            failures.push(reason);
        }
        assert_eq!(failures.len(), 2, "{failures:?}");
    }
}

#[tokio::test]
async fn a_child_is_replaced_after_its_share_of_answers() {
    let wrapped = Wrapped::new("");
    let share = NonZeroU32::new(2).unwrap();
    let pool = Pool::start(PoolSettings { answers_per_child: share, ..wrapped.settings(1) }).await.unwrap();
    for _ in 0..5 {
        pool.inspect(&data("pages/digital_fr.pdf"), None).await.unwrap();
    }
    assert_eq!(wrapped.starts().len(), 3);
}

#[tokio::test]
async fn a_pool_whose_children_cannot_be_replaced_is_lost_and_blames_no_page() {
    let wrapped = Wrapped::new("");
    let pool = Pool::start(wrapped.settings(1)).await.unwrap();
    fs::remove_file(wrapped.folder.path().join("bocr")).unwrap();
    kill_process(wrapped.starts()[0], Signal::KILL).unwrap();
    for _ in 0..2 {
        let failure = pool.render(job(data("pages/digital_fr.pdf"), 0)).await.unwrap_err();
        assert!(matches!(&failure, RenderFailure::PoolLost(reason) if reason.contains("bocr")), "{failure}");
    }
}

/// Runs itself again as if under a launcher: a variable of one's own process cannot be set safely beside other threads.
#[test]
fn children_do_not_inherit_the_launcher() {
    let (_, module) = module_path!().split_once("::").unwrap();
    let name = format!("{module}::children_do_not_inherit_the_launcher");
    if std::env::var_os("OMPI_BOCR_TEST").is_none() {
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", &name]).env("OMPI_BOCR_TEST", "1").env("BOCR_TEST_KEPT", "1");
        return assert!(again.status().unwrap().success());
    }
    let wrapped = Wrapped::new("env > $STARTS.env");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { drop(Pool::start(wrapped.settings(1)).await.unwrap()) });
    let environment = fs::read_to_string(wrapped.folder.path().join("starts.env")).unwrap();
    assert!(environment.contains("BOCR_TEST_KEPT=1") && !environment.contains("OMPI_"), "{environment}");
}

#[tokio::test]
async fn children_die_with_their_pool() {
    let wrapped = Wrapped::new("");
    let mut settings = wrapped.settings(2);
    settings.page_limit = Duration::from_secs(600);
    let pool = Pool::start(settings).await.unwrap();
    let watched: Vec<OwnedFd> =
        wrapped.starts().into_iter().map(|pid| pidfd_open(pid, PidfdFlags::NONBLOCK).unwrap()).collect();
    for pid in wrapped.starts() {
        kill_process(pid, Signal::STOP).unwrap();
    }
    let stuck = tokio::time::timeout(Duration::from_millis(50), pool.render(job(data("pages/digital_fr.pdf"), 0)));
    assert!(stuck.await.is_err());
    drop(pool);
    for child in watched {
        // A process's descriptor becomes readable when it has ended.
        // SAFETY: the descriptor is owned and stays open as long as it is registered.
        let ended = unsafe { AsyncFd::register(child) }.unwrap();
        tokio::time::timeout(Duration::from_secs(30), ended.readable()).await.unwrap().unwrap().retain_ready();
    }
}

#[test]
fn a_child_ends_with_its_standard_input() {
    let mut command = Command::new(BOCR);
    command.arg("render-child").arg("--pdfium").arg(find_library(None).unwrap()).args(["--memory", "2147483648"]);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(output.stdout.starts_with(b"BOr1"), "nothing but frames: {:?}", output.stdout);
}
