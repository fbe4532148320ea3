//! `bocr page`: shows the images of a page that a server would get.

use std::{
    fs,
    io::Write,
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{imaging::ImagingArguments, run::configuration_file};
use crate::{
    engine::Profile,
    imaging::{EncodedPage, Pool, PoolSettings, RenderFailure, RenderJob, find_library, overlay},
    model::{Damage, DocumentPages, Inspected, LayoutRule, PageIndex, View, configuration::Configuration},
    sys::{ExitCode, LONGEST_FILE_NAME, shortened, write_stderr, write_stdout},
};

/// Writes the images of a page that a server would get, byte for byte, a picture of the decisions about it, and one
/// line of JSON for each page, in pages.jsonl and on standard output.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// PDF file and pages, e.g. `BO_7510_Fr.pdf:3` or `BO_7510_Fr.pdf:2-4,9`; all pages when none are given
    #[arg(value_name = "FILE[:PAGES]")]
    pages: DocumentPages,
    /// Built-in profile or path of a profile file
    #[arg(long, default_value = "chandra-2")]
    profile: String,
    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Configuration file (TOML), for its passwords and [imaging]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prepare pages as for the stand-in server with Tesseract
    #[arg(long)]
    stand_in: bool,
    /// Whether to draw a picture of the decisions
    #[arg(long, value_name = "BOOL", default_value = "true", action = clap::ArgAction::Set)]
    overlay: bool,
    /// How the page is shown: whole, reduced or halves
    #[arg(long, default_value = "whole")]
    view: View,
    #[command(flatten)]
    imaging: ImagingArguments,
}

/// Runs the subcommand.
///
/// # Errors
/// The document cannot be opened, or the folder cannot be written.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (configuration, profile) = match settings(arguments) {
        Ok(settings) => settings,
        Err(error) => return Ok(wrong_usage(&error)),
    };
    let layout = configuration.imaging.over(if arguments.stand_in { LayoutRule::OF_TESSERACT } else { profile.layout });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let pdfium = find_library(configuration.pdfium.as_deref())?;
        let settings = PoolSettings::new(std::env::current_exe()?, pdfium, &configuration.imaging, 1);
        let pool = Pool::start(PoolSettings { children: NonZeroU32::MIN, ..settings }).await?;
        let document = PathBuf::from(&arguments.pages.name);
        // Opening a FIFO would wait for a writer. A file that does not exist is reported by the renderer.
        if fs::metadata(&document).is_ok_and(|metadata| !metadata.is_file()) {
            return Ok(wrong_usage(&anyhow!("{} is not a regular file: give a PDF file", document.display())));
        }
        let password = configuration.password_for(&arguments.pages.name).map(str::to_owned);
        let Inspected { pages: last, damage, embedded } = pool.inspect(&document, password.as_deref()).await?;
        if embedded > 0 {
            let name = &arguments.pages.name;
            write_stderr(&format!(
                "bocr: {name}: {embedded} PDFs are embedded in it; a run reads them, this command does not\n"
            ));
        }
        let mut failed = damage.as_ref().is_some_and(|damage| damage.pages_missing);
        if let Some(Damage { reason, .. }) = damage {
            write_stderr(&format!("bocr: {reason}\n"));
        }
        let numbers = match numbers(&arguments.pages, last) {
            Ok(numbers) => numbers,
            Err(error) => return Ok(wrong_usage(&error)),
        };
        fs::create_dir_all(&arguments.out).with_context(|| format!("cannot make {}", arguments.out.display()))?;
        let mut lines = fs::File::create(arguments.out.join("pages.jsonl"))?;
        let (rule, view, skip_blank) = (profile.image, arguments.view, configuration.imaging.skip_blank);
        for number in numbers {
            let files = Files::of(&arguments.out, &document, number, view);
            files.remove_earlier()?;
            let page = PageIndex(number - 1);
            let job = RenderJob { document: document.clone(), password: password.clone(), page, rule, layout, view };
            let mut line =
                json!({ "document": document, "page": number, "profile": profile.name, "view": view.name() });
            let found = match draw(&pool, job, arguments.overlay).await {
                Ok(None) => json!({ "indivisible": true }),
                Ok(Some((drawn, as_it_is))) => {
                    files.write(&drawn, as_it_is.as_deref())?;
                    failed |= !drawn.missing.is_empty();
                    tell_unread(&document, number, &drawn);
                    describe(&files, &profile, skip_blank, &drawn)
                }
                Err(RenderFailure::Page { class, reason }) => {
                    failed = true;
                    json!({ "class": class.name(), "reason": reason })
                }
                Err(lost) => return Err(lost.into()),
            };
            if let (Value::Object(line), Value::Object(found)) = (&mut line, found) {
                line.extend(found);
            }
            writeln!(lines, "{line}")?;
            write_stdout(&format!("{line}\n"))?;
        }
        Ok(if failed { ExitCode::PagesFailed } else { ExitCode::Success })
    })
}

/// Says where a page looks turned and Tesseract could not confirm it.
fn tell_unread(document: &Path, number: u32, drawn: &EncodedPage) {
    for reason in drawn.turn_checks.iter().filter_map(|check| check.read.as_ref().err()) {
        let name = document.display();
        write_stderr(&format!(
            "bocr: {name} page {number}: its letters look turned, which Tesseract could not confirm, so it stays as it is: {reason}\n"
        ));
    }
}

fn settings(arguments: &Arguments) -> anyhow::Result<(Configuration, Profile)> {
    let mut configuration = match &arguments.config {
        None => Configuration::default(),
        Some(path) => configuration_file(path)?,
    };
    arguments.imaging.apply(&mut configuration);
    Ok((configuration, Profile::load(&arguments.profile, None)?))
}

fn wrong_usage(error: &anyhow::Error) -> ExitCode {
    write_stderr(&format!("bocr: {error:#}\n"));
    ExitCode::WrongUsage
}

/// The requested page numbers of a document of `last` pages.
fn numbers(asked: &DocumentPages, last: u32) -> anyhow::Result<Vec<u32>> {
    if let Some(beyond) = asked.pages.iter().map(|range| *range.end()).find(|end| *end > last) {
        bail!("there is no page {beyond} in {}: it has {last}", asked.name);
    }
    Ok(if asked.pages.is_empty() { (1..=last).collect() } else { asked.pages.iter().cloned().flatten().collect() })
}

/// The rendered page, and where it is `wanted` a PNG of the page as a viewer displays it; `None` where the page has no
/// such view.
async fn draw(
    pool: &Pool,
    job: RenderJob,
    wanted: bool,
) -> Result<Option<(EncodedPage, Option<Bytes>)>, RenderFailure> {
    let Some(drawn) = pool.render(job.clone()).await? else { return Ok(None) };
    let as_it_is = RenderJob { layout: LayoutRule::AS_IS, view: View::Whole, ..job };
    let page = if wanted { pool.render(as_it_is).await? } else { None };
    Ok(Some((drawn, page.map(|page| page.parts[0].png.clone()))))
}

/// The files of one view of a page.
struct Files<'a> {
    folder: &'a Path,
    /// The beginning of all their names: document, page and view.
    name: String,
}

impl Files<'_> {
    fn of<'a>(folder: &'a Path, document: &Path, number: u32, view: View) -> Files<'a> {
        /// Most bytes of page number, view and ending.
        const REST: usize = 48;
        let stem = document.file_stem().unwrap_or_default().to_string_lossy();
        let stem = shortened(&stem, LONGEST_FILE_NAME - REST);
        Files { folder, name: format!("{stem}.p{number:03}.{}", view.name()) }
    }

    fn image(&self, drawn: &EncodedPage, part: usize) -> String {
        match drawn.parts.len() {
            1 => format!("{}.png", self.name),
            _ => format!("{}-{}.png", self.name, part + 1),
        }
    }

    fn overlay(&self) -> String {
        format!("{}.overlay.png", self.name)
    }

    /// Removes what an earlier call wrote, since that may have been another number of images.
    fn remove_earlier(&self) -> anyhow::Result<()> {
        for entry in fs::read_dir(self.folder)? {
            let (name, path) = entry.map(|entry| (entry.file_name(), entry.path()))?;
            let part = |rest: &str| rest.strip_prefix('-')?.strip_suffix(".png")?.parse::<usize>().ok();
            let is_ours = name
                .to_str()
                .and_then(|name| name.strip_prefix(&self.name))
                .is_some_and(|rest| rest == ".png" || rest == ".overlay.png" || part(rest).is_some());
            if is_ours {
                fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
        Ok(())
    }

    fn write(&self, drawn: &EncodedPage, as_it_is: Option<&[u8]>) -> anyhow::Result<()> {
        let write = |name: String, bytes: &[u8]| {
            let path = self.folder.join(name);
            fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
        };
        for (place, part) in drawn.parts.iter().enumerate() {
            write(self.image(drawn, place), &part.png)?;
        }
        match as_it_is {
            None => Ok(()),
            Some(page) => write(self.overlay(), &overlay(page, drawn)?),
        }
    }
}

fn describe(files: &Files<'_>, profile: &Profile, skip_blank: bool, drawn: &EncodedPage) -> Value {
    let parts = drawn.parts.iter().enumerate().map(|(place, part)| {
        json!({
            "file": files.image(drawn, place),
            "place": part.place,
            "image_bbox": part.shown.bbox,
            "turn": part.shown.turn.degrees(),
            "image": part.facts,
            "blank": part.blank,
            "sent": !(part.blank && skip_blank),
            "visual_tokens": profile.visual_tokens.count(part.shown.size),
        })
    });
    let turn_checks = drawn.turn_checks.iter().map(|check| {
        json!({
            "place": check.place,
            "turn": check.turn.degrees(),
            "proof": check.proof,
            "read": match &check.read {
                Ok(read) => json!({ "as_it_is": read.as_it_is, "turned": read.turned }),
                Err(reason) => json!({ "failed": reason }),
            },
        })
    });
    json!({
        "image": drawn.facts,
        "layout": drawn.layout,
        "turn_checks": turn_checks.collect::<Vec<_>>(),
        "blank": drawn.blank,
        "missing": drawn.missing,
        "parts": parts.collect::<Vec<_>>(),
    })
}
