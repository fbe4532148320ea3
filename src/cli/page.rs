//! `bocr page`: what a server would get of a page.

use std::{
    fs,
    io::Write,
    num::NonZeroU32,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use serde_json::json;

use super::{imaging::ImagingArguments, run::configuration_file};
use crate::{
    engine::Profile,
    imaging::{DrawnPage, Pool, PoolSettings, RenderJob, find_library, overlay},
    model::{DocumentPages, LayoutRule, PageIndex, View, configuration::Configuration},
};

/// Writes the images of a page that a server would get, byte for byte, a picture of what was decided about it, and a line
/// of JSON for each page in pages.jsonl and on standard output.
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
    /// As the stand-in server with Tesseract gets it
    #[arg(long)]
    stand_in: bool,
    /// Whether a picture of the decisions is drawn
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
/// A file, page or profile that cannot be used, or a folder that cannot be written to.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut configuration = match &arguments.config {
        None => Configuration::default(),
        Some(path) => configuration_file(path)?,
    };
    arguments.imaging.apply(&mut configuration);
    let profile = Profile::load(&arguments.profile, None)?;
    let layout = configuration.imaging.over(if arguments.stand_in { LayoutRule::OF_TESSERACT } else { profile.layout });
    fs::create_dir_all(&arguments.out).with_context(|| format!("cannot make {}", arguments.out.display()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let pool = Pool::start(PoolSettings {
            program: std::env::current_exe()?,
            pdfium: find_library(configuration.pdfium.as_deref())?,
            children: NonZeroU32::MIN,
            page_limit: configuration.imaging.page_limit,
            child_memory: configuration.imaging.child_memory.as_u64(),
            answers_per_child: PoolSettings::ANSWERS_PER_CHILD,
        })
        .await?;
        let document = PathBuf::from(&arguments.pages.name);
        let password = configuration.password_for(&arguments.pages.name).map(str::to_owned);
        let last = pool.inspect(&document, password.as_deref()).await?;
        let all = vec![1..=last];
        let ranges = if arguments.pages.pages.is_empty() { &all } else { &arguments.pages.pages };
        let (rule, view) = (profile.image, arguments.view);
        let mut lines = fs::File::create(arguments.out.join("pages.jsonl"))?;
        for number in ranges.iter().cloned().flatten() {
            let page = PageIndex(number - 1);
            let job = RenderJob { document: document.clone(), password: password.clone(), page, rule, layout, view };
            let line = match pool.render(job.clone()).await? {
                None => json!({ "document": document, "page": number, "view": view.name(), "indivisible": true }),
                Some(drawn) => {
                    write_images(&arguments.out, number, &drawn)?;
                    let as_it_is = RenderJob { layout: LayoutRule::AS_IS, view: View::Whole, ..job };
                    if arguments.overlay
                        && let Some(page) = pool.render(as_it_is).await?
                    {
                        let picture = overlay(&page.parts[0].png, &drawn)?;
                        write(&arguments.out.join(format!("p{number:03}.overlay.png")), &picture)?;
                    }
                    describe(&document, number, view, &profile, &drawn)
                }
            };
            writeln!(lines, "{line}")?;
            println!("{line}");
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn image_name(number: u32, drawn: &DrawnPage, part: usize) -> String {
    let view = drawn.parts[part].shown.view.name();
    match drawn.parts.len() {
        1 => format!("p{number:03}.{view}.png"),
        _ => format!("p{number:03}.{view}-{}.png", part + 1),
    }
}

fn write_images(folder: &Path, number: u32, drawn: &DrawnPage) -> anyhow::Result<()> {
    for (place, part) in drawn.parts.iter().enumerate() {
        write(&folder.join(image_name(number, drawn, place)), &part.png)?;
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn describe(document: &Path, number: u32, view: View, profile: &Profile, drawn: &DrawnPage) -> serde_json::Value {
    let parts = drawn.parts.iter().enumerate().map(|(place, part)| {
        json!({
            "file": image_name(number, drawn, place),
            "place": part.place,
            "image_bbox": part.shown.bbox,
            "turn": part.shown.turn.degrees(),
            "image": part.facts,
            "blank": part.blank,
            "visual_tokens": profile.visual_tokens.count(part.shown.size),
        })
    });
    json!({
        "document": document,
        "page": number,
        "profile": profile.name,
        "view": view.name(),
        "image": drawn.facts,
        "layout": drawn.layout,
        "blank": drawn.blank,
        "parts": parts.collect::<Vec<_>>(),
    })
}
