//! `bocr profiles`: shows the engine profiles.

use std::path::PathBuf;

use crate::{
    engine::Profile,
    sys::{ExitCode, write_stdout},
};

/// Shows the engine profiles and the sources of their values. The output for one profile is itself a profile file.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Built-in profile or path of a profile file to show in full; without it, all built-in profiles are listed
    name: Option<String>,
    /// Prompt file that replaces the profile's own prompt
    #[arg(long, value_name = "FILE", requires = "name")]
    prompt_file: Option<PathBuf>,
}

/// Runs the subcommand.
///
/// # Errors
/// A profile or a prompt cannot be read.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.name {
        None => {
            write_stdout("PROFILE         DIALECT      SIZE    FROM         TRIED AGAINST              LANGUAGES\n")?;
            for name in Profile::built_in() {
                let profile = Profile::load(name, None)?;
                let size = profile.parameters.map_or("?".into(), |billions| format!("{billions} B"));
                write_stdout(&format!(
                    "{name:<16}{:<13}{size:<8}vLLM {:<8}{:<27}{}\n",
                    profile.dialect.name(),
                    profile.min_version.to_string(),
                    profile.tried.to_string(),
                    profile.languages,
                ))?;
            }
        }
        Some(name) => {
            let mut profile = Profile::load(name, arguments.prompt_file.as_deref())?;
            // The output may be saved in any folder, so a relative path would be lost.
            if let (false, Some(prompt)) = (profile.has_built_in_prompt(), &mut profile.prompt) {
                *prompt = std::path::absolute(&*prompt)?;
            }
            write_stdout(&profile.to_toml()?)?;
        }
    }
    Ok(ExitCode::Success)
}
