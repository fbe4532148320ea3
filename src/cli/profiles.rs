//! `bocr profiles`: shows the engine profiles.

use std::{path::PathBuf, process::ExitCode};

use crate::engine::Profile;

/// Shows the engine profiles and where their facts come from.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Built-in profile or path of a profile file to show whole; all are listed when absent
    name: Option<String>,
    /// Prompt file that takes the place of the profile's own wording
    #[arg(long, value_name = "FILE", requires = "name")]
    prompt_file: Option<PathBuf>,
}

/// Runs the subcommand.
///
/// # Errors
/// A profile or prompt that cannot be read.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.name {
        None => {
            for name in Profile::built_in() {
                let profile = Profile::load(name, None)?;
                println!(
                    "{name:<14}{:<10}{:<28}prompt sha256 {}",
                    profile.engine.name(),
                    profile.model,
                    profile.prompt_sha256
                );
            }
        }
        Some(name) => {
            let mut profile = Profile::load(name, arguments.prompt_file.as_deref())?;
            let provenance = std::mem::take(&mut profile.provenance);
            print!("{}", toml::to_string_pretty(&profile)?);
            println!("\n# prompt, sha256 {}", profile.prompt_sha256);
            profile.prompt_text.lines().for_each(|line| println!("#   {line}"));
            println!("\n# where it comes from");
            provenance.iter().for_each(|(field, source)| println!("#   {field}: {source}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}
