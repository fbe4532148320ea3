//! The estimate as a page of text for the user.

use std::{fmt, time::Duration};

use bytesize::ByteSize;

use super::{Documents, Estimate, JobSize, Refused, clock::clock};

/// Lines of a list that are shown; the rest is only counted.
const SHOWN: usize = 10;
/// A debug build renders many times slower.
const DEBUG: &str = if cfg!(debug_assertions) { ", by a debug build: a release build is far faster" } else { "" };

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        documents(f, &self.documents)?;
        self.page_lines(f)?;
        if self.documents.left == 0 {
            return f.write_str("\nnothing is left to read: no job is needed\n");
        }
        if self.page.sampled == 0 {
            return f.write_str("\nno page of the sample could be rendered, so the work cannot be estimated\n");
        }
        self.work_lines(f)?;
        self.table_lines(f)?;
        self.needs_lines(f)?;
        list(f, "\ncheck before submitting", &self.warnings, usize::MAX)?;
        list(f, "\nassumptions and sources", &self.assumptions, usize::MAX)?;
        f.write_str(
            "  known only after a run: checksums of all files, pages that cannot be rendered, documents that have \
             moved, and the engines' results for each page\n",
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
        let language = if *name == "unknown" { "names without a language" } else { name };
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
    list(f, "  damaged", &documents.damaged, SHOWN)?;
    let covers = "  with embedded PDFs, which a run reads as documents of their own and this plan does not count";
    list(f, covers, &documents.covers, SHOWN)?;
    let together = |groups: &[Vec<String>]| groups.iter().map(|names| names.join(" = ")).collect::<Vec<_>>();
    let twins = format!("  copies of one file, by size and both ends; {} pages too many", documents.twin_pages);
    list(f, &twins, &together(&documents.twins), SHOWN)?;
    list(f, "  one issue under several names, each is read", &together(&documents.same_issue), SHOWN)?;
    list(f, "  in the plan, but no longer in the inputs", &documents.gone, SHOWN)?;
    if *repeated > 0 {
        writeln!(f, "  {repeated} further links or paths to the same files count once")?;
    }
    Ok(())
}

impl Estimate {
    fn page_lines(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let page = &self.page;
        if page.sampled == 0 {
            return list(f, "\npages of the sample that could not be rendered", &self.not_drawn, SHOWN);
        }
        writeln!(f, "\na page, on the mean of {} rendered for profile {}", page.sampled, self.profile)?;
        writeln!(
            f,
            "  {:.0} visual tokens in {:.1} images of {} in all, {:.0} prompt tokens, about {:.0} generated; \
             blank {:.1} %",
            page.visual_tokens,
            page.images,
            ByteSize(page.image_bytes as u64),
            page.prompt_tokens,
            page.generated_tokens,
            100.0 * page.blank_share
        )?;
        writeln!(f, "  {:.0} ms to render and encode on a core of this machine{DEBUG}", 1000.0 * page.drawing)?;
        list(f, "  could not be rendered", &self.not_drawn, SHOWN)
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
        for (engine, part) in work.by_name() {
            writeln!(
                f,
                "  {engine}: {:.0} pages of {:.2} s ({:.2} pages/s on each GPU), {:.2} GPU hours",
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
            "  #PBS -l walltime={}        # {} s of it are reserved for the end",
            clock(self.walltime),
            self.reserve.as_secs()
        )?;
        writeln!(f, "  roles = \"{}\"", self.proposed.roles)?;
        writeln!(
            f,
            "  cores: a rank needs {:.2} for rendering ({} renderers) to keep its GPU busy; its server uses the others",
            self.drawing_cores, self.renderers
        )?;
        writeln!(
            f,
            "  memory: a rank and its renderers use at most {}; the memory of its server is not known here",
            ByteSize(self.rank_memory)
        )?;
        let free = self.disk.free.map_or("unknown".into(), |free| ByteSize(free).to_string());
        writeln!(
            f,
            "  disk: {} for the store, {} for journals during the run, {} if all is exported; free {free} in {}",
            ByteSize(self.disk.store),
            ByteSize(self.disk.journals),
            ByteSize(self.disk.export),
            self.disk.folder.display()
        )
    }
}

/// Writes a heading with lines below it; nothing if there are no lines.
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
