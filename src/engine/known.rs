//! Whether a profile is known for every engine of a run.

use super::Profile;
use crate::model::RunEngines;

/// An engine that the configuration says nothing about, and that no built-in profile is called after.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no engine {name}: known are the engines {engines} and the profiles {profiles}; for another one write a \
     table [engines.{name}] with its profile"
)]
pub struct UnknownEngine {
    name: String,
    engines: String,
    profiles: String,
}

/// Checks that every engine has settings, or is called as a built-in profile.
///
/// # Errors
/// The first engine without either.
pub fn check_engines(engines: &RunEngines) -> Result<(), UnknownEngine> {
    let is_unknown = |profile: &str| Profile::built_in().all(|name| name != profile);
    let Some(unknown) = engines.without_settings().find(|engine| is_unknown(engines.profile(*engine))) else {
        return Ok(());
    };
    let known: Vec<_> = engines.known().iter().map(|name| name.as_str()).collect();
    Err(UnknownEngine {
        name: engines.name(unknown).to_string(),
        engines: known.join(", "),
        profiles: Profile::built_in().collect::<Vec<_>>().join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::configuration::Configuration;

    fn checked(text: &str) -> Result<(), String> {
        check_engines(&Configuration::from_toml(text).unwrap().engines).map_err(|error| error.to_string())
    }

    #[test]
    fn the_name_of_a_built_in_profile_is_an_engine_and_any_other_needs_a_table() {
        checked("roles = \"2*deepseek-ocr-2,chandra\"").unwrap();
        checked("roles = \"mine\"\n[engines.mine]\nprofile = \"mine.toml\"\n").unwrap();
        let error = checked("roles = \"chandra,tesseract\"\n[engines.deepseek]\n").unwrap_err();
        for word in ["no engine tesseract", "engines chandra, deepseek", "deepseek-ocr-2", "[engines.tesseract]"] {
            assert!(error.contains(word), "{word}: {error}");
        }
    }
}
