//! Copies a model's files to the node's own disk, once a node. Hundreds of servers that each read 10 GB from one shared
//! file system start slowly, and slow down its other users.
//!
//! The process that has the lock copies; the others wait. A copy is a folder named by a digest of the source and of the
//! sizes and times of its files, with a manifest. It is made under a temporary name, synced, and then renamed. So a
//! copy that exists is complete, and a source that has changed is copied again. Nothing here removes copies: in a job's
//! `TMPDIR` PBS does so, and elsewhere the next job is to find them.

use std::{
    ffi::OsStr,
    fs::{DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt, FileExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use bytesize::ByteSize;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::sys::seconds_text;

use super::{
    model_files::{ModelFile, files},
    private_folder::{NodeFolderError, private_folder, try_lock},
};
const MANIFEST: &str = "bocr-staged.json";

/// Space that must stay free on the node's disk.
const RESERVE: ByteSize = ByteSize::gib(1);

/// Threads that copy. A file system that many nodes share answers each request slowly, but many at once.
const THREADS: usize = 8;

/// What one thread copies of a file before it takes the next piece, bytes.
const PIECE: u64 = 64 << 20;

/// Size of one read, bytes.
const BUFFER: usize = 4 << 20;

const POLL: Duration = Duration::from_millis(200);
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// Why a model was not copied; the server can do without the copy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StageError {
    /// The folder on the node cannot be used.
    #[error(transparent)]
    Folder(#[from] NodeFolderError),
    /// The model does not fit on the disk.
    #[error(
        "the model needs {needed} on the node's disk at {folder} and {RESERVE} must stay free, but only {free} are \
         free: free some space, or set node.stage to another disk"
    )]
    NoSpace { folder: PathBuf, needed: ByteSize, free: ByteSize },
    /// A file became shorter while it was read.
    #[error("{0} became shorter while it was copied: another process changes it")]
    Shorter(PathBuf),
    /// Another process is copying it and is too slow.
    #[error(
        "another process has been copying the model's files for {} and is not done: raise start_limit",
        seconds_text(*.0)
    )]
    Slow(Duration),
    /// The server is no longer needed.
    #[error("the copy was stopped, because the server is no longer needed")]
    Cancelled,
}

/// What was copied; lies beside the copy.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    source: PathBuf,
    files: Vec<ModelFile>,
}

impl Manifest {
    fn of(source: &Path) -> Result<Manifest, StageError> {
        let failed = |error| NodeFolderError::io(source, error);
        let source = source.canonicalize().map_err(failed)?;
        let files = files(&source).map_err(failed)?;
        Ok(Manifest { source, files })
    }

    fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    fn digest(&self, name: &str) -> String {
        hex::encode(&Sha256::digest(format!("{:?}", (name, self)))[..8])
    }

    /// Whether exactly this was copied to the folder `name` of `folder`, and all files still have their size.
    fn is_whole(&self, folder: &Path, name: &str) -> bool {
        let kept = std::fs::read(folder.join(MANIFEST)).ok();
        let same =
            kept.and_then(|kept| serde_json::from_slice::<Manifest>(&kept).ok()).is_some_and(|kept| kept == *self);
        same && self.files.iter().all(|file| {
            std::fs::metadata(folder.join(name).join(&file.path)).is_ok_and(|metadata| metadata.len() == file.bytes)
        })
    }
}

/// The folder of the copy of `source` below `stage`, which must exist. Takes minutes if it is not copied yet. If
/// another process is copying it, waits up to `limit`. Ends soon after `cancelled` is set.
pub(crate) fn staged(
    model: &str,
    source: &Path,
    stage: &Path,
    limit: Duration,
    cancelled: &AtomicBool,
) -> Result<PathBuf, StageError> {
    let began = Instant::now();
    let manifest = Manifest::of(source)?;
    let models = private_folder(stage, "models")?;
    // A client reads from the folder's name which model is served.
    let name = Path::new(model).file_name().and_then(OsStr::to_str).unwrap_or("model");
    let digest = manifest.digest(name);
    let folder = models.join(&digest);
    let mut reported = false;
    let _lock = loop {
        if let Some(lock) = try_lock(&models.join(format!("{digest}.lock")))? {
            break lock;
        }
        if !reported {
            tracing::info!(model, "another rank is copying the model's files to this node's disk: waiting for it");
            reported = true;
        }
        if cancelled.load(Ordering::Relaxed) {
            return Err(StageError::Cancelled);
        }
        if began.elapsed() >= limit {
            return Err(StageError::Slow(limit));
        }
        std::thread::sleep(POLL);
    };
    if manifest.is_whole(&folder, name) {
        tracing::info!(model, folder = %folder.display(), "the model's files are on the node's disk already");
        return Ok(folder.join(name));
    }
    let part = models.join(format!("{digest}.part"));
    clear(&part)?;
    clear(&folder)?;
    check_free_space(&models, manifest.bytes())?;
    let copied = copy(&manifest, &part, name, cancelled).and_then(|()| {
        let failed = |error| NodeFolderError::io(&folder, error);
        std::fs::rename(&part, &folder).and_then(|()| File::open(&models)?.sync_all()).map_err(failed)?;
        Ok(folder.join(name))
    });
    if copied.is_err() {
        let _ = std::fs::remove_dir_all(&part);
    }
    copied
}

/// Removes what a killed start has left.
fn clear(folder: &Path) -> Result<(), NodeFolderError> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(NodeFolderError::io(folder, error)),
        _ => Ok(()),
    }
}

fn check_free_space(folder: &Path, needed: u64) -> Result<(), StageError> {
    let disk = rustix::fs::statvfs(folder).map_err(|error| NodeFolderError::io(folder, error.into()))?;
    let free = ByteSize(disk.f_bavail.saturating_mul(disk.f_frsize));
    if free.as_u64() < needed.saturating_add(RESERVE.as_u64()) {
        return Err(StageError::NoSpace { folder: folder.to_owned(), needed: ByteSize(needed), free });
    }
    Ok(())
}

fn copy(manifest: &Manifest, part: &Path, name: &str, cancelled: &AtomicBool) -> Result<(), StageError> {
    let began = Instant::now();
    let total = ByteSize(manifest.bytes());
    tracing::info!(
        model = name,
        from = %manifest.source.display(),
        %total,
        "copying the model's files to the node's disk"
    );
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| NodeFolderError::io(&path, error)
    };
    DirBuilder::new().mode(0o700).create(part).map_err(failed(part))?;
    let mut pairs = Vec::new();
    for file in &manifest.files {
        let (from, to) = (manifest.source.join(&file.path), part.join(name).join(&file.path));
        if let Some(folder) = to.parent() {
            std::fs::create_dir_all(folder).map_err(failed(folder))?;
        }
        let source = File::open(&from).map_err(failed(&from))?;
        let target = File::create_new(&to).map_err(failed(&to))?;
        pairs.push(Pair { from, source, to, target, bytes: file.bytes });
    }
    let pieces = pairs.iter().flat_map(|pair| (0..pair.bytes).step_by(PIECE as usize).map(move |start| (pair, start)));
    let pieces: Vec<_> = pieces.collect();
    let progress = Progress { model: name, began, total, done: AtomicU64::new(0), next: AtomicU64::new(0) };
    let threads = rayon::ThreadPoolBuilder::new()
        .num_threads(THREADS)
        .build()
        .map_err(|error| NodeFolderError::io(part, io::Error::other(error)))?;
    threads.install(|| {
        pieces.par_iter().try_for_each(|(pair, start)| pair.copy(*start, &progress, cancelled))?;
        pairs.par_iter().try_for_each(|pair| pair.target.sync_all().map_err(failed(&pair.to)))?;
        Ok::<(), StageError>(())
    })?;
    let path = part.join(MANIFEST);
    let text = serde_json::to_vec(manifest).map_err(|error| NodeFolderError::io(&path, error.into()))?;
    crate::sys::replace(&path, &text).map_err(failed(&path))?;
    let seconds = began.elapsed().as_secs_f64().max(0.001);
    let rate = ByteSize((total.as_u64() as f64 / seconds) as u64);
    tracing::info!(model = name, "copied {total} in {seconds:.1} s, {rate}/s");
    Ok(())
}

/// A file and its copy.
struct Pair {
    from: PathBuf,
    source: File,
    to: PathBuf,
    target: File,
    bytes: u64,
}

impl Pair {
    /// Copies the piece that begins at `start`.
    fn copy(&self, start: u64, progress: &Progress<'_>, cancelled: &AtomicBool) -> Result<(), StageError> {
        let end = self.bytes.min(start + PIECE);
        let mut buffer = vec![0; BUFFER.min((end - start) as usize)];
        let mut place = start;
        while place < end {
            if cancelled.load(Ordering::Relaxed) {
                return Err(StageError::Cancelled);
            }
            let wanted = buffer.len().min((end - place) as usize);
            let failed = |path: &Path, error| StageError::from(NodeFolderError::io(path, error));
            let read = match self.source.read_at(&mut buffer[..wanted], place) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read.map_err(|error| failed(&self.from, error))?,
            };
            if read == 0 {
                return Err(StageError::Shorter(self.from.clone()));
            }
            self.target.write_all_at(&buffer[..read], place).map_err(|error| failed(&self.to, error))?;
            place += read as u64;
            progress.add(read as u64);
        }
        Ok(())
    }
}

struct Progress<'a> {
    model: &'a str,
    began: Instant,
    total: ByteSize,
    done: AtomicU64,
    /// Number of the last interval whose progress was logged.
    next: AtomicU64,
}

impl Progress<'_> {
    fn add(&self, bytes: u64) {
        let done = ByteSize(self.done.fetch_add(bytes, Ordering::Relaxed) + bytes);
        let intervals = self.began.elapsed().as_secs() / PROGRESS_INTERVAL.as_secs();
        // Only the thread that is the first in a new interval logs it.
        if self.next.fetch_max(intervals, Ordering::Relaxed) < intervals {
            tracing::info!(model = self.model, "copied {done} of {}", self.total);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use tempfile::TempDir;

    use super::*;

    static LIVE: AtomicBool = AtomicBool::new(false);

    const LONG: Duration = Duration::from_secs(60);

    /// A model of two files and a disk.
    fn bench() -> (TempDir, PathBuf, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let [source, stage] = ["source", "stage"].map(|name| root.path().join(name));
        fs::create_dir_all(source.join("tokens")).unwrap();
        fs::create_dir(&stage).unwrap();
        let weights: Vec<u8> = (0..PIECE as usize + 70_001).map(|byte| (byte * 7 / 5) as u8).collect();
        fs::write(source.join("model.safetensors"), weights).unwrap();
        fs::write(source.join("tokens/vocabulary.json"), "{}").unwrap();
        (root, source, stage)
    }

    fn inode(path: &Path) -> u64 {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(path).unwrap().ino()
    }

    #[test]
    fn ranks_of_a_node_copy_a_model_once_between_them() {
        let (_root, source, stage) = bench();
        let folders: Vec<PathBuf> = thread::scope(|scope| {
            let ranks = [(); 3].map(|()| scope.spawn(|| staged("lab/model", &source, &stage, LONG, &LIVE).unwrap()));
            ranks.map(|rank| rank.join().unwrap()).into()
        });
        assert!(folders.iter().all(|folder| *folder == folders[0]));
        for name in ["model.safetensors", "tokens/vocabulary.json"] {
            assert!(fs::read(source.join(name)).unwrap() == fs::read(folders[0].join(name)).unwrap(), "{name}");
        }
        let weights = folders[0].join("model.safetensors");
        let first = inode(&weights);
        assert_eq!(staged("lab/model", &source, &stage, LONG, &LIVE).unwrap(), folders[0]);
        assert_eq!(inode(&weights), first, "the next start finds it");
    }

    #[test]
    fn a_changed_source_or_a_damaged_copy_is_copied_anew() {
        let (_root, source, stage) = bench();
        let first = staged("lab/model", &source, &stage, LONG, &LIVE).unwrap();
        fs::write(first.join("tokens/vocabulary.json"), "{\"cut\"").unwrap();
        fs::create_dir(first.parent().unwrap().with_extension("part")).unwrap();
        assert_eq!(staged("lab/model", &source, &stage, LONG, &LIVE).unwrap(), first);
        assert_eq!(fs::read(first.join("tokens/vocabulary.json")).unwrap(), b"{}");

        fs::write(source.join("tokens/vocabulary.json"), "{\"a\":1}").unwrap();
        let second = staged("lab/model", &source, &stage, LONG, &LIVE).unwrap();
        assert_ne!(second, first);
        assert_eq!(fs::read(second.join("tokens/vocabulary.json")).unwrap(), b"{\"a\":1}");
    }

    #[test]
    fn a_copy_that_another_makes_is_not_waited_for_without_end() {
        let (_root, source, stage) = bench();
        let copy = staged("lab/model", &source, &stage, LONG, &LIVE).unwrap();
        let lock = copy.parent().unwrap().with_extension("lock");
        // A process that another test starts has the released lock until its program begins.
        let _other = std::iter::repeat_with(|| try_lock(&lock).unwrap()).find_map(|lock| lock).unwrap();
        let limit = Duration::from_millis(1);
        let error = staged("lab/model", &source, &stage, limit, &LIVE).unwrap_err();
        assert!(matches!(error, StageError::Slow(_)), "{error}");
    }

    #[test]
    fn what_does_not_fit_or_is_not_wanted_leaves_nothing() {
        let (_root, source, stage) = bench();
        let error = check_free_space(&stage, u64::MAX / 2).unwrap_err();
        assert!(
            matches!(error, StageError::NoSpace { .. }) && error.to_string().contains("1.0 GiB must stay free"),
            "{error}"
        );
        assert!(matches!(staged("m", &source, &stage, LONG, &AtomicBool::new(true)), Err(StageError::Cancelled)));
        let models = fs::read_dir(&stage).unwrap().next().unwrap().unwrap().path();
        let names: Vec<_> = fs::read_dir(models).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(names.iter().all(|name| name.to_str().unwrap().ends_with(".lock")), "{names:?}");
    }
}
