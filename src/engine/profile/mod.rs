//! Profiles: everything that distinguishes one engine from another, as data.

mod file;
pub(super) mod version;
pub(super) mod visual;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::{ImageRule, LayoutRule, Sampling};

use file::{BUILT_IN, built_in_prompt, fields_of, prompt_text, read};

use super::{EngineError, Version, VisualTokens};

/// How an engine is launched and asked, and how its answers are read. From TOML; unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Name of the profile, kept in every record.
    pub name: String,
    /// Model id, as the model hub knows it.
    pub model: String,
    /// Name under which the server offers the model.
    pub served_name: String,
    /// The first version of vLLM that serves the model.
    pub min_version: Version,
    /// Versions of vLLM that serve the model badly: a warning, not an error.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub avoid: Vec<Avoided>,
    /// Parameters of the model, billions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<f64>,
    /// Languages that the model is said to read, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub languages: String,
    /// How far the profile was tried.
    #[serde(default)]
    pub tried: Tried,
    /// File of the prompt: a built-in one, or a path relative to the profile file. Without it, the image is sent alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<PathBuf>,
    /// The prompt as it is sent.
    #[serde(skip)]
    pub prompt_text: String,
    /// SHA-256 of `prompt_text`, lower-case hex; computed, not read from the file.
    #[serde(skip)]
    pub prompt_sha256: String,
    /// Most tokens of an answer.
    pub max_tokens: u32,
    /// Context window that the launch command asks for, tokens; a running server's own figure takes precedence.
    pub context_length: u32,
    /// Requests in flight on one server at the start, where the configuration sets none.
    pub in_flight: u32,
    /// How a page is rendered.
    pub image: ImageRule,
    /// What the layout search looks for on a page before it is sent.
    pub layout: LayoutRule,
    /// How many prompt tokens an image costs.
    pub visual_tokens: VisualTokens,
    /// The grammar of an answer.
    pub dialect: Dialect,
    /// Sampling of each retry step, the first attempt being step 0; the last entry also serves all further steps.
    pub sampling: Vec<Sampling>,
    /// Further fields of the request body.
    #[serde(default)]
    pub request: serde_json::Map<String, serde_json::Value>,
    /// vLLM's own loop detection, for servers that have it.
    pub repetition_detection: Option<RepetitionDetection>,
    /// How a server is launched.
    pub launch: Launch,
    /// Source of each value, by field.
    #[serde(default)]
    pub provenance: BTreeMap<String, String>,
}

/// A version of vLLM that serves a model badly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Avoided {
    /// The version to avoid.
    pub version: Version,
    /// What is wrong with it; shown in the warning.
    pub reason: String,
}

/// How far a profile was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tried {
    /// Not at all, as far as is known.
    #[default]
    Untried,
    /// Against the stand-in only.
    StandIn,
    /// Against a real vLLM on a processor, with a tiny random model of the same architecture (`scripts/conformance`).
    TinyModel,
    /// Against a real vLLM on a GPU, with random weights of the model's shape.
    RandomWeights,
    /// Against a real vLLM with the model's own weights.
    Weights,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tried::Untried => "untried",
            Tried::StandIn => "stand-in only",
            Tried::TinyModel => "tiny random model on vLLM",
            Tried::RandomWeights => "random weights on a GPU",
            Tried::Weights => "real weights",
        })
    }
}

/// How a model encloses the formulas of its Markdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Formulas {
    /// By `\(…\)` and `\[…\]`; a dollar sign is text.
    #[default]
    Brackets,
    /// Also by `$…$` and `$$…$$`.
    Dollars,
}

/// The grammar of an answer and the scale of its boxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Dialect {
    /// Chandra and Surya 2: top-level `<div data-bbox data-label>` (`docs/facts/chandra.md`, "Answer").
    Divs {
        /// Coordinates run from 0 to this number.
        box_scale: u16,
    },
    /// DeepSeek-OCR with grounding: `<|ref|>label<|/ref|><|det|>[[…]]<|/det|>` and Markdown (`docs/facts/deepseek.md`,
    /// "Answer").
    Grounding {
        /// Coordinates run from 0 to this number.
        box_scale: u16,
    },
    /// dots.ocr and its kin: a JSON list of elements with box, category and text (`docs/facts/engines.md`,
    /// "Layout JSON").
    LayoutJson {
        /// Coordinates run from 0 to this number; without it they are pixels of the sent image.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        box_scale: Option<u16>,
    },
    /// Markdown alone, as olmOCR, LightOnOCR, GLM-OCR, and DeepSeek-OCR without grounding write it
    /// (`docs/facts/engines.md`, "Markdown").
    #[serde(alias = "free")]
    Markdown {
        /// Whether it begins with olmOCR's front matter.
        #[serde(default)]
        front_matter: bool,
        /// How formulas are enclosed.
        #[serde(default)]
        formulas: Formulas,
    },
    /// DocTags, as Granite-Docling writes them (`docs/facts/engines.md`, "DocTags").
    Doctags {
        /// Coordinates run from 0 to this number.
        box_scale: u16,
    },
}

impl Dialect {
    /// Name of the dialect, in profiles and for the stand-in.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::Divs { .. } => "divs",
            Dialect::Grounding { .. } => "grounding",
            Dialect::LayoutJson { .. } => "layout-json",
            Dialect::Markdown { .. } => "markdown",
            Dialect::Doctags { .. } => "doctags",
        }
    }

    /// The number that the coordinates of boxes run to; none without boxes, and where they are pixels.
    pub fn box_scale(self) -> Option<u16> {
        match self {
            Dialect::Divs { box_scale } | Dialect::Grounding { box_scale } | Dialect::Doctags { box_scale } => {
                Some(box_scale)
            }
            Dialect::LayoutJson { box_scale } => box_scale,
            Dialect::Markdown { .. } => None,
        }
    }
}

/// vLLM's `repetition_detection` (0.17 and later; `docs/facts/vllm.md`, "Endings and sampling").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepetitionDetection {
    /// Shortest pattern, tokens.
    pub min_pattern_size: u32,
    /// Longest pattern, tokens.
    pub max_pattern_size: u32,
    /// Copies at the tail that end the answer.
    pub min_count: u32,
}

/// How a server is launched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    /// Program and arguments, with the placeholders `{model}`, `{served_name}`, `{memory}` and `{socket}`.
    pub command: Vec<String>,
    /// Further arguments, for versions of vLLM that know them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub since: Vec<Since>,
    /// Variables added to the environment.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
}

/// Arguments that vLLM knows from a version on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Since {
    /// The first version that knows them.
    pub version: Version,
    /// The arguments.
    pub arguments: Vec<String>,
}

impl Profile {
    /// Names of the built-in profiles.
    pub fn built_in() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// A built-in profile, or one from a `.toml` file, which may extend another. `prompt_file` replaces its prompt.
    ///
    /// # Errors
    /// The name is unknown, a file is unreadable, has a syntax error or an unknown key, or values contradict each
    /// other.
    pub fn load(name_or_path: &str, prompt_file: Option<&Path>) -> Result<Profile, EngineError> {
        let fields = fields_of(name_or_path)?;
        // Each file below it first, so that the error names the one that has the wrong key.
        for (name, fields) in fields.bases {
            Profile::checked(fields, &name)?;
        }
        let mut profile = Profile::checked(fields.own, name_or_path)?;
        let text = match prompt_file {
            Some(path) => {
                profile.provenance.insert("prompt".into(), format!("read from {}", path.display()));
                profile.prompt = Some(path.into());
                read(path)?
            }
            None => profile.prompt.as_deref().map(prompt_text).transpose()?.unwrap_or_default(),
        };
        profile.set_prompt(&text);
        profile.check(name_or_path)?;
        Ok(profile)
    }

    /// The profile of these fields. Its prompt is not read yet.
    ///
    /// # Errors
    /// A key is unknown or missing, or a value has the wrong type.
    fn checked(fields: toml::Table, name: &str) -> Result<Profile, EngineError> {
        fields.try_into().map_err(|reason: toml::de::Error| EngineError::Field {
            name: name.into(),
            reason: reason.to_string().trim_end().replace('\n', " "),
        })
    }

    /// Whether the prompt is built into the program; else it is a file.
    pub fn has_built_in_prompt(&self) -> bool {
        self.prompt.as_deref().is_some_and(|prompt| built_in_prompt(prompt).is_some())
    }

    /// The profile as a file from which it can be read again, with its prompt and the prompt's SHA-256 as comments.
    ///
    /// # Errors
    /// TOML cannot hold a value.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let mut text = toml::to_string_pretty(self)?;
        text.push_str(&format!("\n# prompt, sha256 {}\n", self.prompt_sha256));
        text.extend(self.prompt_text.lines().map(|line| format!("#   {line}\n")));
        Ok(text)
    }

    /// Sets the prompt. In the prompt of chandra-ocr 0.1.9 the box scale is a placeholder (`docs/facts/chandra.md`,
    /// "Prompts").
    fn set_prompt(&mut self, text: &str) {
        self.prompt_text = match self.dialect {
            Dialect::Divs { box_scale } => text.replace("{bbox_scale}", &box_scale.to_string()),
            _ => text.into(),
        };
        self.prompt_sha256 = hex::encode(Sha256::digest(self.prompt_text.as_bytes()));
    }

    fn check(&self, name: &str) -> Result<(), EngineError> {
        let invalid = |reason: &str| Err(EngineError::Invalid { name: name.into(), reason: reason.into() });
        if self.sampling.is_empty() {
            return invalid("`sampling` needs at least one step");
        }
        if self.max_tokens == 0 || self.max_tokens >= self.context_length {
            return invalid("`max_tokens` must be at least 1 and less than `context_length`");
        }
        if self.in_flight == 0 {
            return invalid("`in_flight` must be at least 1");
        }
        if self.prompt.is_some() && self.prompt_text.trim().is_empty() {
            return invalid("the prompt is empty; leave out `prompt` for a model that takes none");
        }
        if self.launch.command.is_empty() {
            return invalid("`launch.command` needs at least the program");
        }
        if self.image.min_pixels > self.image.max_pixels {
            return invalid("`image.min_pixels` is greater than `image.max_pixels`");
        }
        if self.dialect.box_scale() == Some(0) {
            return invalid("`dialect.box_scale` must be at least 1");
        }
        if let VisualTokens::Cells { cell: 0, .. }
        | VisualTokens::Gundam { tile: 0, .. }
        | VisualTokens::Tiles { tile: 0, .. }
        | VisualTokens::Patches { cell: 0, .. }
        | VisualTokens::Splits { tile: 0, .. } = self.visual_tokens
        {
            return invalid("`visual_tokens` needs a cell or tile of at least 1 pixel");
        }
        Ok(())
    }

    /// Sampling of the attempt at this retry step, from 0.
    pub fn sampling_at(&self, step: usize) -> Sampling {
        let last = Sampling { temperature: 0.0, top_p: 1.0 };
        self.sampling.get(step).or(self.sampling.last()).copied().unwrap_or(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Grid, Scaling};

    #[test]
    fn built_in_profiles_load_and_every_provenance_names_a_field() {
        for name in Profile::built_in() {
            let profile = Profile::load(name, None).unwrap();
            assert_eq!(profile.name, name);
            assert_eq!(profile.prompt_sha256.len(), 64);
            let fields = serde_json::to_value(&profile).unwrap();
            for key in profile.provenance.keys() {
                let pointer = format!("/{}", key.replace('.', "/"));
                assert!(fields.pointer(&pointer).is_some(), "{name}: no field `{key}`");
            }
            for field in fields.as_object().unwrap().keys() {
                let plain = ["name", "served_name", "tried", "provenance"].contains(&field.as_str());
                assert!(plain || profile.provenance.contains_key(field), "{name}: `{field}` has no source");
            }
        }
    }

    #[test]
    fn each_model_keeps_its_own_numbers() {
        let [one, two, deepseek] =
            ["chandra", "chandra-2", "deepseek-ocr"].map(|name| Profile::load(name, None).unwrap());
        assert_eq!(one.dialect, Dialect::Divs { box_scale: 1024 });
        assert_eq!(two.dialect, Dialect::Divs { box_scale: 1000 });
        assert_eq!(two.image.grid, Grid::Cells(32));
        assert_eq!(one.image.grid, Grid::Free);
        assert_eq!(deepseek.dialect, Dialect::Grounding { box_scale: 999 });
        assert_eq!(deepseek.launch.environment["VLLM_USE_V2_MODEL_RUNNER"], "0");
        assert_eq!(deepseek.prompt_text, "<|grounding|>Convert the document to markdown.");
        assert_eq!(two.sampling_at(99).temperature, 0.8);
    }

    #[test]
    fn a_profile_file_brings_its_prompt_and_refuses_unknown_keys() {
        let folder = tempfile::tempdir().unwrap();
        let text = BUILT_IN[0]
            .1
            .replace("\"chandra-1024.txt\"", "\"mine.txt\"")
            .replace("name = \"chandra\"\n", "name = \"mine\"\n");
        let path = folder.path().join("mine.toml");
        std::fs::write(&path, &text).unwrap();
        std::fs::write(folder.path().join("mine.txt"), "boxes on 0 to {bbox_scale}").unwrap();
        let profile = Profile::load(path.to_str().unwrap(), None).unwrap();
        assert_eq!(profile.prompt_text, "boxes on 0 to 1024");
        assert_eq!(profile.prompt_sha256, hex::encode(Sha256::digest(b"boxes on 0 to 1024")));

        std::fs::write(&path, format!("temperatur = 1\n{text}")).unwrap();
        let error = Profile::load(path.to_str().unwrap(), None).unwrap_err();
        assert!(error.to_string().contains("temperatur"), "{error}");
        let error = Profile::load("chandra-3", None).unwrap_err().to_string();
        assert!(error.contains("chandra, chandra-2, deepseek-ocr, deepseek-ocr-2"), "{error}");
        let error = Profile::load("chandra", Some(Path::new("/no/such/prompt"))).unwrap_err().to_string();
        assert!(error.contains("/no/such/prompt"), "{error}");
    }

    #[test]
    fn contradictions_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bad.toml");
        std::fs::write(&path, BUILT_IN[0].1.replace("max_tokens = 12384", "max_tokens = 99999")).unwrap();
        let error = Profile::load(path.to_str().unwrap(), None).unwrap_err().to_string();
        assert!(error.contains("max_tokens"), "{error}");
    }

    /// The known pitfalls of `docs/facts`: `deepseek.md`, "Serving with vLLM"; `vllm.md`, "Metrics" and "Prefix cache".
    #[test]
    fn every_launch_command_avoids_the_known_traps() {
        for name in Profile::built_in() {
            let profile = Profile::load(name, None).unwrap();
            let command = &profile.launch.command;
            let has = |word: &str| command.iter().any(|other| other == word);
            assert!(!command.iter().any(|word| word.contains("disable-log-stats")), "{name}: /metrics would be empty");
            assert!(has("--no-enable-prefix-caching") && !has("--enable-prefix-caching"), "{name}");
            let after = |flag: &str| command.iter().skip_while(|word| *word != flag).nth(1).cloned();
            assert_eq!(after("--max-model-len"), Some(profile.context_length.to_string()), "{name}");
            let processor = after("--logits-processors");
            assert_eq!(processor.is_some(), profile.request.contains_key("vllm_xargs"), "{name}");
            if let Some(processor) = processor {
                assert_eq!(processor.matches(':').count(), 1, "{name}: a colon before the class");
                assert_eq!(profile.launch.environment["VLLM_USE_V2_MODEL_RUNNER"], "0", "{name}");
            }
        }
    }

    #[test]
    fn a_printed_profile_is_read_back_as_the_same() {
        let folder = tempfile::tempdir().unwrap();
        for name in Profile::built_in() {
            let profile = Profile::load(name, None).unwrap();
            let path = folder.path().join(format!("{name}.toml"));
            std::fs::write(&path, profile.to_toml().unwrap()).unwrap();
            assert_eq!(Profile::load(path.to_str().unwrap(), None).unwrap(), profile, "{name}");
        }
    }

    #[test]
    fn a_profile_that_extends_another_changes_only_what_it_says_and_tells_so() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let small = file(
            "small.toml",
            "extends = \"chandra-2\"\nin_flight = 8\n[image]\ndpi = 150.0\n[launch.environment]\nX = \"1\"\n\
             [request]\ntop_k = 5\n[provenance]\nrequest = \"a whim\"\n",
        );
        let (base, own) = (Profile::load("chandra-2", None).unwrap(), Profile::load(&small, None).unwrap());
        assert_eq!(own.name, "small", "records tell it from its base");
        assert_eq!((own.in_flight, own.image.dpi, own.image.max_pixels), (8, 150.0, base.image.max_pixels));
        assert_eq!((own.launch.environment["X"].as_str(), own.launch.environment.len()), ("1", 2));
        assert_eq!((&own.request["top_k"], &own.request["min_p"]), (&5.into(), &base.request["min_p"]));
        assert_eq!((&own.launch.command, &own.prompt_text), (&base.launch.command, &base.prompt_text));
        assert_eq!(own.provenance["in_flight"], format!("set in {small}"));
        assert_eq!(own.provenance["image"], format!("image.dpi set in {small}; else {}", base.provenance["image"]));
        assert!(own.provenance["launch.environment"].starts_with("launch.environment.X set in"));
        assert_eq!(
            (&own.provenance["launch"], own.provenance["request"].as_str()),
            (&base.provenance["launch"], "a whim")
        );

        file("mine.txt", "Read it.");
        let tiny = file(
            "tiny.toml",
            "extends = \"small.toml\"\nname = \"tiny-7\"\nprompt = \"mine.txt\"\nsampling = [{ temperature = 0.5, top_p = 0.9 }]\n\
             [visual_tokens]\nkind = \"tiles\"\ntile = 768\nbase = 1024\nmin_tiles = 2\nmax_tiles = 6\n",
        );
        let own = Profile::load(&tiny, None).unwrap();
        assert_eq!((own.name.as_str(), own.prompt_text.as_str(), own.in_flight), ("tiny-7", "Read it.", 8));
        assert_eq!((own.sampling.len(), own.image.dpi), (1, 150.0), "arrays are replaced");
        assert!(matches!(own.visual_tokens, VisualTokens::Tiles { .. }), "another kind is another table");

        let ring = file("ring.toml", "extends = \"ring.toml\"\n");
        assert!(matches!(Profile::load(&ring, None), Err(EngineError::Endless { .. })));
        let parity =
            file("parity.toml", "extends = \"chandra-2\"\n[image]\ngrid = { cells = 28 }\nscaling = \"parity\"\n");
        assert_eq!(Profile::load(&parity, None).unwrap().image.scaling, Scaling::Parity);
    }

    #[test]
    fn an_unknown_or_obsolete_key_is_refused_with_its_file_also_below_another() {
        let folder = tempfile::tempdir().unwrap();
        let wrongs = [
            ("engine = \"chandra\"\n", "`engine`", "remove the line"),
            ("temperatur = 1\n", "`temperatur`", "bocr profiles chandra-2"),
            ("sampling = [{ temperature = 0.0, top_p = 1.0, top_k = 1 }]\n", "`top_k`", "bocr profiles chandra-2"),
            ("[image]\ndpl = 3\n", "`dpl`", "bocr profiles chandra-2"),
            ("[layout]\ncolumn = true\n", "`column`", "bocr profiles chandra-2"),
            ("[dialect]\nfront_matter = true\n", "`front_matter`", "bocr profiles chandra-2"),
            ("[visual_tokens]\ntile = 3\n", "`tile`", "bocr profiles chandra-2"),
            ("[launch]\nenvirons = {}\n", "`environs`", "bocr profiles chandra-2"),
            ("[repetition_detection]\nmin_size = 3\n", "`min_size`", "bocr profiles chandra-2"),
        ];
        let (wrong, above) = (folder.path().join("wrong.toml"), folder.path().join("above.toml"));
        std::fs::write(&above, "extends = \"wrong.toml\"\nin_flight = 3\n").unwrap();
        for (keys, key, remedy) in wrongs {
            std::fs::write(&wrong, format!("extends = \"chandra-2\"\n{keys}")).unwrap();
            for path in [&wrong, &above] {
                let error = Profile::load(path.to_str().unwrap(), None).expect_err(keys).to_string();
                assert!(
                    [wrong.to_str().unwrap(), key, remedy].iter().all(|part| error.contains(part)),
                    "{keys}: {error}"
                );
            }
        }
    }
}
