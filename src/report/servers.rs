//! `servers.json`: the capabilities that the servers of a run reported, over all starts of servers and of the run.

use std::{
    collections::BTreeSet,
    io::{self, ErrorKind},
    path::Path,
    sync::mpsc::{Receiver, Sender, channel},
    thread::JoinHandle,
};

use serde::{Deserialize, Serialize};

use crate::{
    model::{Capabilities, EngineName, RankId, error::chain},
    sys::replace,
};

/// Name of the file in the run directory.
pub const SERVERS_FILE: &str = "servers.json";

/// Servers with equal capabilities, and the ranks that have had one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    engine: EngineName,
    #[serde(with = "ranges")]
    ranks: BTreeSet<u32>,
    capabilities: Capabilities,
}

/// The file with the capabilities of a run's servers. A thread writes it, so that a slow disk delays nothing else.
/// Dropping it waits until the last state is written.
#[derive(Debug)]
pub struct ServersFile {
    servers: Option<Sender<(RankId, EngineName, Capabilities)>>,
    thread: Option<JoinHandle<()>>,
}

impl ServersFile {
    /// Starts the thread. It first reads the file of earlier starts.
    ///
    /// # Errors
    /// The system refuses the thread.
    pub fn new(run_directory: &Path) -> io::Result<ServersFile> {
        let (sender, servers) = channel();
        let path = run_directory.join(SERVERS_FILE);
        let thread =
            std::thread::Builder::new().name("bocr-servers".into()).spawn(move || write_all(&path, &servers))?;
        Ok(ServersFile { servers: Some(sender), thread: Some(thread) })
    }

    /// Records the capabilities that the server of a rank reported.
    pub fn record(&self, rank: RankId, engine: EngineName, capabilities: Capabilities) {
        if let Some(servers) = &self.servers {
            let _ = servers.send((rank, engine, capabilities));
        }
    }
}

impl Drop for ServersFile {
    fn drop(&mut self) {
        self.servers = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Writes the file after every change. If thousands of servers become ready at once, one write covers many.
fn write_all(path: &Path, servers: &Receiver<(RankId, EngineName, Capabilities)>) {
    let mut entries = read(path).unwrap_or_else(|error| {
        tracing::warn!("cannot read {}; writing it from the start: {}", path.display(), chain(&error));
        Vec::new()
    });
    while let Ok(first) = servers.recv() {
        let mut changed = false;
        for (rank, engine, capabilities) in std::iter::once(first).chain(servers.try_iter()) {
            changed |= add(&mut entries, rank, engine, capabilities);
        }
        if changed && let Err(error) = write(path, &entries) {
            tracing::warn!("cannot write {}: {}", path.display(), chain(&error));
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<Entry>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn write(path: &Path, entries: &[Entry]) -> io::Result<()> {
    replace(path, &serde_json::to_vec_pretty(entries)?)
}

/// Adds a server; true if this changed the entries.
fn add(entries: &mut Vec<Entry>, rank: RankId, engine: EngineName, capabilities: Capabilities) -> bool {
    match entries.iter_mut().find(|entry| entry.engine == engine && entry.capabilities == capabilities) {
        Some(entry) => entry.ranks.insert(rank.0),
        None => {
            entries.push(Entry { engine, ranks: [rank.0].into(), capabilities });
            true
        }
    }
}

/// Sets of numbers as text: `0-3,7`.
mod ranges {
    use std::collections::BTreeSet;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(numbers: &BTreeSet<u32>, serializer: S) -> Result<S::Ok, S::Error> {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for &number in numbers {
            match ranges.last_mut() {
                Some((_, last)) if number - *last == 1 => *last = number,
                _ => ranges.push((number, number)),
            }
        }
        let words: Vec<String> = ranges
            .iter()
            .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") })
            .collect();
        serializer.serialize_str(&words.join(","))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<u32>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut numbers = BTreeSet::new();
        for word in text.split(',') {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            let bounds = first.parse::<u32>().and_then(|first| Ok((first, last.parse::<u32>()?)));
            let (first, last) = bounds.map_err(|_| D::Error::custom(format!("`{word}` is not a range of ranks")))?;
            numbers.extend(first..=last);
        }
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ServerKind;

    fn server(version: &str) -> Capabilities {
        Capabilities::new(version, "chandra", 18_000, ServerKind::Model)
    }

    #[test]
    fn thousands_of_like_servers_are_one_entry_and_starts_add_up() {
        let folder = tempfile::tempdir().unwrap();
        let start = |ranks: std::ops::Range<u32>, version: &str| {
            let file = ServersFile::new(folder.path()).unwrap();
            ranks.for_each(|rank| file.record(RankId(rank), "chandra".parse().unwrap(), server(version)));
        };
        start(0..2000, "0.17.0");
        start(2001..2003, "0.17.0");
        start(0..1, "0.32.0");
        start(0..10, "0.17.0");
        let path = folder.path().join(SERVERS_FILE);
        let entries = read(&path).unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!((entries[0].ranks.len(), &entries[1].capabilities), (2002, &server("0.32.0")));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("\"ranks\": \"0-1999,2001-2002\""), "{text}");
        assert!(text.len() < 2_000, "{} bytes", text.len());
    }

    #[test]
    fn a_damaged_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SERVERS_FILE);
        std::fs::write(&path, "[{").unwrap();
        ServersFile::new(folder.path()).unwrap().record(RankId(3), "deepseek".parse().unwrap(), server("0.17.0"));
        assert_eq!(read(&path).unwrap()[0].ranks, [3].into());
    }
}
