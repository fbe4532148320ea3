//! The source of a profile's fields: a built-in text, or a file, which may extend another profile.
//!
//! `extends = "chandra-2"` (or the path of another file) takes over every field of that profile. Tables are merged;
//! everything else is replaced, and so is a table with another `kind`. Where such a profile sets no name, it has the
//! name of its file: records must tell it from the profile that it extends.

use std::{collections::BTreeMap, path::Path};

use toml::{Table, Value};

use crate::engine::EngineError;

pub(in crate::engine) const BUILT_IN: [(&str, &str); 10] = [
    ("chandra", include_str!("../profiles/chandra.toml")),
    ("chandra-2", include_str!("../profiles/chandra-2.toml")),
    ("deepseek-ocr", include_str!("../profiles/deepseek-ocr.toml")),
    ("deepseek-ocr-2", include_str!("../profiles/deepseek-ocr-2.toml")),
    ("dots-ocr", include_str!("../profiles/dots-ocr.toml")),
    ("glm-ocr", include_str!("../profiles/glm-ocr.toml")),
    ("granite-docling", include_str!("../profiles/granite-docling.toml")),
    ("lightonocr-2", include_str!("../profiles/lightonocr-2.toml")),
    ("olmocr-2", include_str!("../profiles/olmocr-2.toml")),
    ("surya-2", include_str!("../profiles/surya-2.toml")),
];

const BUILT_IN_PROMPTS: [(&str, &str); 8] = [
    ("chandra-1024.txt", include_str!("../prompts/chandra-1024.txt")),
    ("chandra-1000.txt", include_str!("../prompts/chandra-1000.txt")),
    ("deepseek-grounding.txt", include_str!("../prompts/deepseek-grounding.txt")),
    ("dots-ocr.txt", include_str!("../prompts/dots-ocr.txt")),
    ("glm-ocr.txt", include_str!("../prompts/glm-ocr.txt")),
    ("granite-docling.txt", include_str!("../prompts/granite-docling.txt")),
    ("olmocr-2.txt", include_str!("../prompts/olmocr-2.txt")),
    ("surya-2.txt", include_str!("../prompts/surya-2.txt")),
];

/// Most profiles that may extend one another; a longer chain counts as endless.
const LONGEST_CHAIN: usize = 8;

/// The fields of a profile.
pub(in crate::engine) struct Fields {
    /// All of them, including those that it takes over.
    pub(in crate::engine) own: Table,
    /// The profiles that it extends, from the last to the nearest, with all their fields.
    pub(in crate::engine) bases: Vec<(String, Table)>,
}

/// The fields of a profile, including those that it takes over. `prompt` is a built-in one, or a path relative to the
/// current directory.
///
/// # Errors
/// The name is unknown, a file is unreadable or not TOML, or the chain of profiles does not end.
pub(in crate::engine) fn fields_of(name_or_path: &str) -> Result<Fields, EngineError> {
    resolve(name_or_path, LONGEST_CHAIN)
}

/// The text of a prompt that a profile names.
///
/// # Errors
/// The file is unreadable.
pub(in crate::engine) fn prompt_text(prompt: &Path) -> Result<String, EngineError> {
    built_in_prompt(prompt).map_or_else(|| read(prompt), |text| Ok(text.into()))
}

pub(in crate::engine) fn built_in_prompt(prompt: &Path) -> Option<&'static str> {
    BUILT_IN_PROMPTS.iter().find(|(name, _)| Path::new(name) == prompt).map(|(_, text)| *text)
}

pub(in crate::engine) fn read(path: &Path) -> Result<String, EngineError> {
    std::fs::read_to_string(path).map_err(|reason| EngineError::Unreadable { path: path.into(), reason })
}

fn resolve(name_or_path: &str, links: usize) -> Result<Fields, EngineError> {
    if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_path) {
        return Ok(Fields { own: parse(name, text)?, bases: Vec::new() });
    }
    if !name_or_path.ends_with(".toml") {
        let known = BUILT_IN.map(|(name, _)| name).join(", ");
        return Err(EngineError::UnknownProfile { name: name_or_path.into(), known });
    }
    let path = Path::new(name_or_path);
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut own = parse(name_or_path, &read(path)?)?;
    if own.contains_key("engine") {
        let reason = "the key `engine` means nothing any more, because any engine may use any profile: remove the line, \
                      and name the profile in `[engines.NAME]` of the configuration";
        return Err(EngineError::Invalid { name: name_or_path.into(), reason: reason.into() });
    }
    if let Some(Value::String(prompt)) = own.get_mut("prompt")
        && built_in_prompt(Path::new(prompt)).is_none()
    {
        *prompt = folder.join(&*prompt).to_string_lossy().into_owned();
    }
    let Some(base) = own.remove("extends") else { return Ok(Fields { own, bases: Vec::new() }) };
    let Value::String(base) = base else {
        let reason = "`extends` is the name of a profile, or the path of its file".into();
        return Err(EngineError::Invalid { name: name_or_path.into(), reason });
    };
    let links = links.checked_sub(1).ok_or_else(|| EngineError::Endless { name: name_or_path.into() })?;
    let base = if BUILT_IN.iter().any(|(name, _)| *name == base) {
        base
    } else {
        folder.join(base).to_string_lossy().into_owned()
    };
    let Fields { own: mut fields, mut bases } = resolve(&base, links)?;
    bases.push((base, fields.clone()));
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    own.entry("name").or_insert(Value::String(stem));
    // What is said of a model is not true of another.
    if own.contains_key("model") {
        for field in ["parameters", "languages", "tried"] {
            fields.remove(field);
        }
    }
    Ok(Fields { own: extend(fields, own, name_or_path), bases })
}

fn parse(name: &str, text: &str) -> Result<Table, EngineError> {
    toml::from_str(text).map_err(|reason| EngineError::Syntax { name: name.into(), reason: Box::new(reason) })
}

/// Merges `own` into `base`. The provenance of a changed field is set to `file`, unless `own` has its own provenance
/// for it.
fn extend(mut base: Table, own: Table, file: &str) -> Table {
    let mut changed = Vec::new();
    changes("", &own, &mut changed);
    let has_own = |key: &str| own.get("provenance").is_some_and(|own| own.get(key).is_some());
    if let Some(Value::Table(provenance)) = base.get_mut("provenance") {
        let mut of_key: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for field in changed.iter().filter(|field| !["name", "provenance"].contains(&top(field))) {
            of_key.entry(provenance_key(provenance, field)).or_default().push(field);
        }
        for (key, fields) in of_key.into_iter().filter(|(key, _)| !has_own(key)) {
            let text = match provenance.get(&key).and_then(Value::as_str) {
                Some(base) if fields != [key.as_str()] => format!("{} set in {file}; else {base}", fields.join(", ")),
                _ => format!("set in {file}"),
            };
            provenance.insert(key, Value::String(text));
        }
    }
    merge(&mut base, own);
    base
}

/// The key of the provenance that covers a field: the longest one that is a prefix of it.
fn provenance_key(provenance: &Table, field: &str) -> String {
    let leads =
        |key: &&String| field.strip_prefix(key.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    provenance.keys().filter(leads).max_by_key(|key| key.len()).cloned().unwrap_or_else(|| top(field).into())
}

fn top(field: &str) -> &str {
    field.split('.').next().unwrap_or(field)
}

/// Every field that a table sets, as a dotted path.
fn changes(prefix: &str, table: &Table, fields: &mut Vec<String>) {
    for (key, value) in table {
        match value {
            Value::Table(inner) => changes(&format!("{prefix}{key}."), inner, fields),
            _ => fields.push(format!("{prefix}{key}")),
        }
    }
}

fn merge(base: &mut Table, own: Table) {
    for (key, value) in own {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(own))
                if own.get("kind").is_none_or(|kind| base.get("kind") == Some(kind)) =>
            {
                merge(base, own);
            }
            (_, value) => drop(base.insert(key, value)),
        }
    }
}
