//! An input whose file system hangs: a small FUSE file system with one file, which stops answering on request.

use std::{
    any::Any,
    ffi::OsStr,
    fs,
    io::{self, Write as _},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, UNIX_EPOCH},
};

use bulletin_ocr::model::{FailureClass, Verdict};
use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, Generation, INodeNo, LockOwner,
    OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEntry, Request,
};

use crate::{
    fault_matrix::row::{Corpus, Row, ended},
    run_support::until,
};

const NAME: &str = "scan_fr.pdf";
const FILE: INodeNo = INodeNo(2);

/// Requests that are not answered, and whether more are to be kept.
#[derive(Default)]
struct Hang {
    hangs: AtomicBool,
    unanswered: Mutex<Vec<Box<dyn Any + Send>>>,
}

/// One file, which answers unless it hangs.
struct OneFile {
    content: Vec<u8>,
    hang: Arc<Hang>,
}

impl OneFile {
    fn attributes(&self, inode: INodeNo) -> FileAttr {
        let (kind, perm, size) = match inode {
            FILE => (FileType::RegularFile, 0o444, self.content.len() as u64),
            _ => (FileType::Directory, 0o555, 0),
        };
        FileAttr {
            ino: inode,
            size,
            blocks: size.div_ceil(512),
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 512,
            flags: 0,
        }
    }

    /// Keeps a reply for later where the file hangs.
    fn answer<R: Any + Send>(&self, inode: INodeNo, reply: R, answer: impl FnOnce(R)) {
        if inode == FILE && self.hang.hangs.load(Ordering::SeqCst) {
            self.hang.unanswered.lock().unwrap().push(Box::new(reply));
        } else {
            answer(reply);
        }
    }
}

impl Filesystem for OneFile {
    fn lookup(&self, _request: &Request, _parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if name == NAME {
            let attributes = self.attributes(FILE);
            self.answer(FILE, reply, |reply| reply.entry(&Duration::ZERO, &attributes, Generation(0)));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _request: &Request, inode: INodeNo, _handle: Option<FileHandle>, reply: ReplyAttr) {
        let attributes = self.attributes(inode);
        self.answer(inode, reply, |reply| reply.attr(&Duration::ZERO, &attributes));
    }

    fn read(
        &self,
        _request: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let begin = self.content.len().min(offset as usize);
        let end = self.content.len().min(begin + size as usize);
        self.answer(inode, reply, |reply| reply.data(&self.content[begin..end]));
    }

    fn readdir(
        &self,
        _request: &Request,
        _inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let entries = [
            (INodeNo::ROOT, FileType::Directory, "."),
            (INodeNo::ROOT, FileType::Directory, ".."),
            (FILE, FileType::RegularFile, NAME),
        ];
        for (place, (inode, kind, name)) in entries.into_iter().enumerate().skip(offset as usize) {
            if reply.add(inode, place as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }
}

/// Lets the file answer again, also where the test fails: what waits for it could not end.
struct Release(Arc<Hang>);

impl Drop for Release {
    fn drop(&mut self) {
        self.0.hangs.store(false, Ordering::SeqCst);
        self.0.unanswered.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Mounts the file at a folder.
fn mount(folder: &Path) -> io::Result<(Arc<Hang>, BackgroundSession)> {
    let content = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pages").join(NAME)).unwrap();
    fs::create_dir_all(folder).unwrap();
    let hang = Arc::new(Hang::default());
    let file_system = OneFile { content, hang: Arc::clone(&hang) };
    let session = fuser::spawn_mount(file_system, folder, &Config::default())?;
    Ok((hang, session))
}

/// The page of a file that hangs fails by itself, in time, with a class of its own; all others are read. The same command
/// reads it when the file system answers again.
#[test]
fn row_input_hangs() {
    let row = Row::with("input hangs", Corpus::Small, "attempts = 2", &["--time-scale", "0.3"]);
    let mut settings = fs::File::options().append(true).open(row.bench.path("configuration.toml")).unwrap();
    writeln!(settings, "[imaging]\npage_limit = \"4s\"").unwrap();
    let (hang, session) = match mount(&row.bench.path("input/z")) {
        Ok(mounted) => mounted,
        Err(error) => {
            eprintln!("NOT RUN: input hangs: mounting a FUSE file system needs root and /dev/fuse: {error}");
            return;
        }
    };
    let mut run = row.start(&[]);
    row.until_settled(1);
    hang.hangs.store(true, Ordering::SeqCst);
    let release = Release(hang);
    let begin = Instant::now();
    // The kernel lets go of a process that waits for a file system only when that answers: the run has ended before.
    until("the run has ended", || row.bench.run_directory().join("finished.json").exists());
    let took = begin.elapsed();
    drop(release);
    assert_eq!(ended(&mut run), Some(3), "{}", row.bench.log(0));
    assert!(took < Duration::from_secs(50), "the run waited for the file system: {took:?}");
    let document = format!("z/{NAME}");
    let mut pages = row.bench.pages();
    let (verdict, _) = pages.remove(&(document.clone(), 1)).unwrap();
    assert_eq!(verdict, Verdict::Failed(FailureClass::Stuck), "{}", row.bench.log(0));
    assert!(pages.values().all(|(verdict, _)| *verdict == Verdict::Read));

    let mut expected = Corpus::Small.reference();
    expected.insert((document, 1), expected[&("a/scan_fr.pdf".to_owned(), 1)].clone());
    row.finish_with(&[], &expected);
    session.umount_and_join().unwrap();
}
