//! Which settings a later start of a run directory may change.
//!
//! The effective configuration and the profiles are kept in the run directory. A start with other settings is refused,
//! and the message lists the differences. `--accept-config` allows those that cannot mix results: another number of
//! requests in flight, another address, another launch command. Another model, prompt, image or sampling needs a new
//! run directory.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    path::Path,
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    model::{EngineName, EngineNames, configuration::Configuration},
    sys::replace,
    worker::configured_profile,
};

use super::{difference::Difference, preparation_error::PreparationError};

const CONFIGURATION_FILE: &str = "configuration.toml";
const PROFILES_FILE: &str = "profiles.json";

/// Fields of a profile that do not change what is read.
const OPERATIONAL_FIELDS: [&str; 9] =
    ["launch", "provenance", "in_flight", "served_name", "name", "context_length", "prompt", "min_version", "avoid"];

/// Settings, or tables of settings, that belong to a start and not to the run: another path of the library, a password
/// that was missing, other nodes.
const FREE_SETTINGS: [&str; 6] =
    ["pdfium", "passwords", "node", "imaging.children", "schedule.turn_cost", "schedule.races"];

/// Compares the settings with those of earlier starts and stores them.
///
/// # Errors
/// The settings differ in a way that is not accepted; or the files cannot be read or written.
pub(super) fn check_and_store(
    run_directory: &Path,
    configuration: &Configuration,
    accept: bool,
) -> Result<(), PreparationError> {
    let Checked { text, profiles, differences } = check(run_directory, configuration, accept)?;
    for difference in &differences {
        tracing::warn!("accepted a changed setting: {}", difference.to_string().trim());
    }
    write(run_directory, CONFIGURATION_FILE, &text)?;
    write(run_directory, PROFILES_FILE, &format!("{profiles:#}"))
}

/// Compares the settings with those of earlier starts in the run directory, which may not exist. Relative paths in them
/// begin at the current folder.
///
/// # Errors
/// As [`check_and_store`].
pub fn check_settings(
    run_directory: &Path,
    configuration: &Configuration,
    accept: bool,
) -> Result<(), PreparationError> {
    check(run_directory, configuration, accept).map(drop)
}

/// Settings that a start may have.
struct Checked {
    /// The configuration as TOML.
    text: String,
    profiles: Value,
    /// Differences from earlier starts, which are accepted.
    differences: Vec<Difference>,
}

fn check(run_directory: &Path, configuration: &Configuration, accept: bool) -> Result<Checked, PreparationError> {
    let text = configuration.to_toml().map_err(PreparationError::Configuration)?;
    let mut profiles = profiles(configuration)?;
    let kept_profiles: Value = match read(run_directory, PROFILES_FILE)? {
        Some(kept) => serde_json::from_str(&kept).map_err(|error| damaged(run_directory, PROFILES_FILE, &error))?,
        None => json!({}),
    };
    let mut differences = Vec::new();
    if let Some(kept) = read(run_directory, CONFIGURATION_FILE)? {
        let was: Value = toml::from_str(&kept).map_err(|error| damaged(run_directory, CONFIGURATION_FILE, &error))?;
        let is = toml::from_str(&text).map_err(|error| damaged(run_directory, CONFIGURATION_FILE, &error))?;
        let compared = compare(&was, &is).into_iter().filter(|difference| !is_free(&difference.key));
        let (had, has) = (stages_of(&was), configuration.engines.names().names());
        let keeps_stages = has.iter().map(EngineName::as_str).take(had.len()).eq(had.iter().map(String::as_str));
        let served = |engine: &str| kept_profiles.get(engine).is_some() && profiles.get(engine).is_some();
        differences.extend(compared.map(|difference| configured(difference, &was, &is, keeps_stages, served)));
    }
    let engines: Vec<_> = configuration.engines.names().names().iter().map(EngineName::as_str).collect();
    for engine in engines {
        match (kept_profiles.get(engine), profiles.get(engine)) {
            (Some(was), Some(is)) => {
                differences.extend(compare(was, is).into_iter().map(|difference| profiled(engine, difference)));
            }
            // The profile of an engine is kept although no rank serves the engine now.
            (Some(was), None) => profiles[engine] = was.clone(),
            (None, _) => {}
        }
    }
    if differences.iter().any(|difference| difference.mixes) || !accept && !differences.is_empty() {
        let refusable = differences.iter().any(|difference| difference.mixes);
        return Err(PreparationError::OtherSettings { directory: run_directory.into(), differences, refusable });
    }
    Ok(Checked { text, profiles, differences })
}

/// A digest of the settings that all ranks of a run must share.
///
/// # Errors
/// A profile cannot be used.
pub(super) fn digest(configuration: &Configuration) -> Result<String, PreparationError> {
    let mut settings = BTreeMap::new();
    let text = configuration.to_toml().map_err(PreparationError::Configuration)?;
    let values = toml::from_str(&text).map_err(|error| damaged(Path::new(""), CONFIGURATION_FILE, &error))?;
    flatten("", &values, &mut settings);
    settings.retain(|key, _| !is_free(key));
    flatten("profiles", &profiles(configuration)?, &mut settings);
    let digest = Sha256::digest(format!("{settings:?}"));
    Ok(hex::encode(&digest[..8]))
}

fn is_free(key: &str) -> bool {
    FREE_SETTINGS.iter().any(|free| key.strip_prefix(free).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// The profiles of the served engines, by engine.
fn profiles(configuration: &Configuration) -> Result<Value, PreparationError> {
    let mut all = serde_json::Map::new();
    for engine in configuration.engines.served().iter() {
        let profile = configured_profile(configuration, engine)?;
        let mut value = json!(profile);
        value["prompt_sha256"] = json!(profile.prompt_sha256);
        all.insert(configuration.engines.name(engine).to_string(), value);
    }
    Ok(Value::Object(all))
}

/// The stages of an effective configuration. Earlier programs had these two and did not name them.
fn stages_of(settings: &Value) -> Vec<String> {
    let stages = settings.get("stages").and_then(Value::as_array);
    let first_two = || EngineNames::default().names().iter().map(EngineName::to_string).collect();
    stages.map_or_else(first_two, |stages| stages.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// Marks a difference that mixes results: for a `served` engine, a stand-in replaces a model, a model replaces a
/// stand-in, or one mode of the stand-in replaces another; or the stages are not those of before with further ones at
/// their end, because records name a stage by its place.
fn configured(
    difference: Difference,
    was: &Value,
    is: &Value,
    keeps_stages: bool,
    served: impl Fn(&str) -> bool,
) -> Difference {
    let kind_of = |settings: &Value, engine: &str| settings["engines"][engine]["server"]["kind"].clone();
    let mixes = match difference.key.split('.').collect::<Vec<_>>()[..] {
        ["engines", engine, "server", "kind"] if served(engine) => {
            [was, is].into_iter().any(|settings| kind_of(settings, engine) == "stand-in")
        }
        ["engines", engine, "server", "mode"] if served(engine) => kind_of(was, engine) == kind_of(is, engine),
        ["stages"] => !keeps_stages,
        _ => false,
    };
    Difference { mixes, ..difference }
}

fn profiled(engine: &str, difference: Difference) -> Difference {
    let field = difference.key.split('.').next().unwrap_or_default();
    let mixes = !OPERATIONAL_FIELDS.contains(&field);
    Difference { key: format!("profile of {engine}: {}", difference.key), mixes, ..difference }
}

fn compare(was: &Value, is: &Value) -> Vec<Difference> {
    let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
    flatten("", was, &mut old);
    flatten("", is, &mut new);
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).cloned().collect();
    let differs = |key: &String| old.get(key) != new.get(key);
    keys.into_iter()
        .filter(differs)
        .map(|key| Difference { was: old.get(&key).cloned(), is: new.get(&key).cloned(), key, mixes: false })
        .collect()
}

/// Flattens a value to dotted keys and values as text. A list is one value.
fn flatten(prefix: &str, value: &Value, out: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&key, field, out);
            }
        }
        Value::Null => {}
        value => drop(out.insert(prefix.to_owned(), value.to_string())),
    }
}

fn damaged(run_directory: &Path, name: &str, error: &dyn fmt::Display) -> PreparationError {
    PreparationError::Damaged { path: run_directory.join(name), reason: error.to_string() }
}

fn read(run_directory: &Path, name: &str) -> Result<Option<String>, PreparationError> {
    let path = run_directory.join(name);
    match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some).map_err(|source| PreparationError::RunDirectory { path, source }),
    }
}

fn write(run_directory: &Path, name: &str, text: &str) -> Result<(), PreparationError> {
    let path = run_directory.join(name);
    let written = replace(&path, text.as_bytes());
    written.map_err(|source| PreparationError::RunDirectory { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rerun_hint(change: &str, accept: bool) -> Result<(), String> {
        let directory = tempfile::tempdir().unwrap();
        check_and_store(directory.path(), &Configuration::default(), false).unwrap();
        check_and_store(directory.path(), &Configuration::default(), false).unwrap();
        let changed = Configuration::from_toml(change).unwrap();
        check_and_store(directory.path(), &changed, accept).map_err(|error| error.to_string())
    }

    #[test]
    fn a_difference_is_shown_and_may_be_accepted_where_it_mixes_nothing() {
        let change = "[engines.chandra]\nin_flight = 9\n";
        let refused = rerun_hint(change, false).unwrap_err();
        assert!(refused.contains("engines.chandra.in_flight: was nothing, is 9"), "{refused}");
        assert!(refused.contains("--accept-config"), "{refused}");
        rerun_hint(change, true).unwrap();
        rerun_hint("[schedule]\nunit_pages = 3\n", true).unwrap();
        rerun_hint("roles = \"chandra,deepseek\"\n", true).unwrap();
        rerun_hint("stages = [\"chandra\", \"deepseek\", \"surya-2\"]\n", true).unwrap();
        rerun_hint("roles = \"chandra\"\n[engines.deepseek.server]\nkind = \"url\"\nurls = []\n", true).unwrap();
        rerun_hint("pdfium = \"/elsewhere\"\n[[passwords]]\nfile = \"a.pdf\"\npassword = \"p\"\n", false).unwrap();
        rerun_hint("[imaging]\nchildren = 3\n[node]\ngpus = [\"1\"]\nstart_interval = \"1s\"\n", false).unwrap();
    }

    #[test]
    fn ranks_may_have_other_settings_of_their_nodes() {
        let of = |text: &str| digest(&Configuration::from_toml(text).unwrap()).unwrap();
        assert_eq!(of("[node]\ngpus = [\"1\"]\nstage = \"/scratch\"\n"), of(""));
        assert_ne!(of("[schedule]\nunit_pages = 3\n"), of(""));
    }

    #[test]
    fn what_an_engine_was_served_with_is_remembered_while_it_is_not_served() {
        let directory = tempfile::tempdir().unwrap();
        let start = |text: &str| {
            let configuration = Configuration::from_toml(text).unwrap();
            check_and_store(directory.path(), &configuration, true).map_err(|error| error.to_string())
        };
        start("roles = \"chandra,deepseek\"\n").unwrap();
        start("roles = \"chandra\"\n").unwrap();
        let prompt = directory.path().join("prompt.txt");
        std::fs::write(&prompt, "Free OCR.").unwrap();
        let other = format!("roles = \"chandra,deepseek\"\n[engines.deepseek]\nprompt_file = {prompt:?}\n");
        assert!(start(&other).unwrap_err().contains("would mix results"));
        std::fs::write(directory.path().join(PROFILES_FILE), "{").unwrap();
        assert!(start("roles = \"chandra\"\n").unwrap_err().contains(PROFILES_FILE));
    }

    #[test]
    fn what_would_mix_results_is_refused_whatever_is_accepted() {
        for change in [
            "[engines.chandra]\nprofile = \"chandra\"\n",
            "[engines.chandra.server]\nkind = \"url\"\nurls = [\"http://127.0.0.1:1\"]\n",
            "[engines.chandra.server]\nkind = \"stand-in\"\nmode = \"synthetic\"\n",
            "stages = [\"deepseek\", \"chandra\"]\n",
            "stages = [\"chandra\"]\nroles = \"chandra\"\n",
            "stages = [\"chandra\", \"surya-2\", \"deepseek\"]\n",
        ] {
            let refused = rerun_hint(change, true).unwrap_err();
            assert!(refused.contains("would mix results") && refused.contains("--output"), "{refused}");
        }
    }
}
