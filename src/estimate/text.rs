//! The page that people read.

use std::{fmt, time::Duration};

use bytesize::ByteSize;

use super::{Documents, Estimate, JobSize, Refused, clock::clock};

/// Refused documents, twins and the like that are shown before the rest is only counted.
const SHOWN: usize = 10;
/// Such a program draws many times slower.
const DEBUG: &str = if cfg!(debug_assertions) { ", by a debug build: a release build is far faster" } else { "" };

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        documents(f, &self.documents)?;
        self.page_lines(f)?;
        if self.documents.left == 0 {
            return f.write_str("\nnothing is left to read: no job is needed\n");
        }
        if self.page.sampled == 0 {
            return f.write_str("\nno page of the sample could be drawn, so nothing can be said of the work\n");
        }
        self.work_lines(f)?;
        self.table_lines(f)?;
        self.needs_lines(f)?;
        list(f, "\nlook at", &self.warnings, usize::MAX)?;
        list(f, "\nwhat these figures rest on", &self.assumptions, usize::MAX)?;
        f.write_str(
            "  a run will also find: checksums of all files, pages that cannot be drawn, documents that have moved, \
             and what the engines make of each page\n",
        )
    }
}

fn documents(f: &mut fmt::Formatter<'_>, documents: &Documents) -> fmt::Result {
    let Documents { readable, refused, bytes, settled, left, repeated, .. } = documents;
    writeln!(
        f,
        "{} documents, {} pages, {}; {} documents cannot be read",
        readable.documents,
        readable.pages,
        ByteSize(*bytes),
        refused.len()
    )?;
    if *settled > 0 {
        writeln!(f, "  settled by earlier starts {settled} pages, left {left}")?;
    }
    let languages = documents.languages.iter().map(|(name, tally)| {
        let language = if *name == "unknown" { "names that say no language" } else { name };
        format!("{language}: {} documents, {} pages", tally.documents, tally.pages)
    });
    writeln!(f, "  by name, {}", languages.collect::<Vec<_>>().join("; "))?;
    if let Some((first, last)) = documents.issues {
        write!(f, "  issues {first} to {last}; {} names without a number", documents.unnumbered)?;
        match (documents.years.first_key_value(), documents.years.last_key_value()) {
            (Some((first, _)), Some((last, _))) => writeln!(f, "; years by folder {first} to {last}")?,
            _ => writeln!(f)?,
        }
    }
    let line = |refused: &Refused| format!("{}: {}", refused.class, refused.reason);
    list(f, "  refused", &refused.iter().map(line).collect::<Vec<_>>(), SHOWN)?;
    let together = |groups: &[Vec<String>]| groups.iter().map(|names| names.join(" = ")).collect::<Vec<_>>();
    let twins =
        format!("  the same file more than once, by size and both ends; {} pages too many", documents.twin_pages);
    list(f, &twins, &together(&documents.twins), SHOWN)?;
    list(f, "  one issue under several names, each is read", &together(&documents.same_issue), SHOWN)?;
    list(f, "  of the plan, not in the inputs any more", &documents.gone, SHOWN)?;
    if *repeated > 0 {
        writeln!(f, "  {repeated} further links or paths to the same files count once")?;
    }
    Ok(())
}

impl Estimate {
    fn page_lines(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let page = &self.page;
        if page.sampled == 0 {
            return list(f, "\nsample, could not be drawn", &self.not_drawn, SHOWN);
        }
        writeln!(f, "\na page, on the mean of {} drawn for profile {}", page.sampled, self.profile)?;
        writeln!(
            f,
            "  {:.0} visual tokens in {:.1} images of {} in all, {:.0} prompt tokens, about {:.0} generated; blank {:.1} %",
            page.visual_tokens,
            page.images,
            ByteSize(page.image_bytes as u64),
            page.prompt_tokens,
            page.generated_tokens,
            100.0 * page.blank_share
        )?;
        writeln!(f, "  {:.0} ms to draw and encode on a core of this machine{DEBUG}", 1000.0 * page.drawing)?;
        list(f, "  could not be drawn", &self.not_drawn, SHOWN)
    }

    fn work_lines(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let work = &self.work;
        let hours = work.seconds() / 3600.0;
        writeln!(
            f,
            "\n{hours:.2} GPU hours ({:.2} to {:.2}), from {}",
            hours * work.range.0,
            hours * work.range.1,
            if work.from_reports { "earlier runs" } else { "figures of an H200" }
        )?;
        for (engine, part) in [("chandra", work.chandra), ("deepseek", work.deepseek)] {
            writeln!(
                f,
                "  {engine}: {:.0} pages of {:.2} s ({:.2} pages/s a GPU), {:.2} GPU hours",
                part.pages,
                part.seconds_per_page,
                1.0 / part.seconds_per_page.max(1e-9),
                part.seconds() / 3600.0
            )?;
        }
        writeln!(f, "  a server starts in {:.0} s, all files are read once in {:.0} s", work.server_start, self.reading)
    }

    fn table_lines(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n  {:>5}  {:>9}  {:>9}  {:>9}  roles", "GPUs", "expected", "at best", "at worst")?;
        let row = |JobSize { gpus, seconds: (best, expected, worst), roles }: &JobSize| {
            let [best, expected, worst] =
                [best, expected, worst].map(|seconds| clock(Duration::from_secs_f64(*seconds)));
            format!("  {gpus:>5}  {expected:>9}  {best:>9}  {worst:>9}  {roles}\n")
        };
        self.table.iter().try_for_each(|size| f.write_str(&row(size)))
    }

    fn needs_lines(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expected = clock(Duration::from_secs_f64(self.proposed.seconds.1));
        writeln!(f, "\nproposed job, GPUs: {}, expected to take {expected}", self.proposed.gpus)?;
        writeln!(f, "  #PBS -l select={}", self.select)?;
        writeln!(
            f,
            "  #PBS -l walltime={}        # {} s of it kept for the end",
            clock(self.walltime),
            self.reserve.as_secs()
        )?;
        writeln!(f, "  roles = \"{}\"", self.proposed.roles)?;
        writeln!(
            f,
            "  cores: a rank draws with {:.2} of them ({} renderers) to keep its GPU busy, the others are its server's",
            self.drawing_cores, self.renderers
        )?;
        writeln!(
            f,
            "  memory: a rank and its renderers at most {}; its server's is not known here",
            ByteSize(self.rank_memory)
        )?;
        let free = self.disk.free.map_or("not told".into(), |free| ByteSize(free).to_string());
        writeln!(
            f,
            "  disk: {} for the store, {} for journals meanwhile, {} if all is exported; free {free} in {}",
            ByteSize(self.disk.store),
            ByteSize(self.disk.journals),
            ByteSize(self.disk.export),
            self.disk.folder.display()
        )
    }
}

/// A heading with lines below it; nothing where there are none.
fn list(f: &mut fmt::Formatter<'_>, heading: &str, lines: &[String], shown: usize) -> fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(f, "{heading}:")?;
    for line in lines.iter().take(shown) {
        writeln!(f, "    {line}")?;
    }
    match lines.len().saturating_sub(shown) {
        0 => Ok(()),
        more => writeln!(f, "    and {more} more: --json has all"),
    }
}
