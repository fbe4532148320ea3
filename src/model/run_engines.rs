//! The engines of a run, as the configuration gives them: their order, their settings, and the roles of the ranks.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use super::{
    Engine, EngineName, EngineNames, EngineNamesError, EngineSet, Role, RoleNames, RolePattern,
    engine_settings::EngineSettings,
};

/// The two engines that every run had at first.
static FIRST_TWO: LazyLock<EngineNames> = LazyLock::new(EngineNames::default);

/// The engines of a run, in the order of the stages of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEngines {
    names: EngineNames,
    /// The settings of each engine, in order.
    settings: Vec<EngineSettings>,
    /// The roles, if they are given.
    roles: Option<RolePattern>,
    /// Engines with settings in the configuration, although the run does not have them.
    unused: BTreeMap<EngineName, EngineSettings>,
    /// Engines of the run without settings in the configuration.
    unset: Vec<EngineName>,
}

/// Settings of engines that do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunEnginesError {
    /// The stages are wrong.
    #[error(transparent)]
    Stages(#[from] EngineNamesError),
    /// The roles name an engine that is no stage.
    #[error(
        "the roles name {engine}, but no stage does: the stages are {stages}; add {engine} to `stages` or to --stages"
    )]
    NoStage {
        /// The engine.
        engine: EngineName,
        /// The stages.
        stages: String,
    },
    /// No rank would serve the engine that reads every page first.
    #[error(
        "no rank of the roles {roles} serves {first}, and every page goes to {first} first: add {first} to the roles"
    )]
    NoFirstEngine {
        /// The roles.
        roles: String,
        /// The first engine.
        first: EngineName,
    },
    /// An engine has settings, but the run does not have the engine.
    #[error(
        "[engines.{engine}] has settings, but no stage is called {engine}: the stages are {stages}; name it in `stages`, \
         or remove the table"
    )]
    Unused {
        /// The engine.
        engine: EngineName,
        /// The stages.
        stages: String,
    },
}

impl RunEngines {
    /// The engines of a run with these settings.
    ///
    /// Without `stages`, pages go to Chandra, and to DeepSeek-OCR if Chandra fails them. Roles that name other engines,
    /// or DeepSeek-OCR alone, give the stages: their engines, in their order.
    ///
    /// # Errors
    /// The stages, the roles and the tables of engines contradict each other.
    pub fn new(
        roles: Option<&RoleNames>,
        stages: Option<&[EngineName]>,
        mut tables: BTreeMap<EngineName, EngineSettings>,
    ) -> Result<Self, RunEnginesError> {
        let names = match (stages, roles) {
            (Some(stages), _) => EngineNames::new(stages.to_vec())?,
            (None, None) => EngineNames::default(),
            (None, Some(roles)) => stages_of(roles)?,
        };
        let stages = || names.text(names.all(), ", ");
        let pattern = roles.map(|roles| roles.resolve(&names)).transpose();
        let pattern = pattern.map_err(|engine| RunEnginesError::NoStage { engine, stages: stages() })?;
        if let Some(pattern) = pattern.as_ref().filter(|pattern| !pattern.serves(Engine::FIRST)) {
            let roles = pattern.named(&names).to_string();
            return Err(RunEnginesError::NoFirstEngine { roles, first: names[Engine::FIRST].clone() });
        }
        let unset = names.names().iter().filter(|name| !tables.contains_key(*name)).cloned().collect();
        let settings = names.names().iter().map(|name| tables.remove(name).unwrap_or_default()).collect();
        // Files with settings for the two engines that every run had at first serve runs with other engines too.
        if let Some(engine) = tables.keys().find(|name| FIRST_TWO.engine(name.as_str()).is_none()) {
            return Err(RunEnginesError::Unused { engine: engine.clone(), stages: stages() });
        }
        Ok(RunEngines { settings, roles: pattern, unused: tables, unset, names })
    }

    /// The names, in the order of the stages.
    pub fn names(&self) -> &EngineNames {
        &self.names
    }

    /// The name of `engine`.
    pub fn name(&self, engine: Engine) -> &EngineName {
        &self.names[engine]
    }

    /// All engines, in the order of the stages.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = Engine> {
        self.names.all().iter()
    }

    /// The settings of `engine`.
    pub fn of(&self, engine: Engine) -> &EngineSettings {
        &self.settings[engine.position()]
    }

    /// The settings of `engine`, for an option to change.
    pub fn of_mut(&mut self, engine: Engine) -> &mut EngineSettings {
        &mut self.settings[engine.position()]
    }

    /// Name or path of the profile of `engine`: by default the built-in one of that name. Chandra 2 is the default of
    /// `chandra`: it reads Arabic twice as well as Chandra 1 at half the size (`docs/facts/chandra.md`, "Accuracy").
    pub fn profile(&self, engine: Engine) -> &str {
        let built_in = match self.names[engine].as_str() {
            "chandra" => "chandra-2",
            "deepseek" => "deepseek-ocr",
            name => name,
        };
        self.of(engine).profile.as_deref().unwrap_or(built_in)
    }

    /// Engines that the configuration says nothing about. Each needs a built-in profile.
    pub fn without_settings(&self) -> impl Iterator<Item = Engine> {
        self.unset.iter().filter_map(|name| self.names.engine(name.as_str()))
    }

    /// Names that are known without a built-in profile: those of the two first engines, and those with settings.
    pub fn known(&self) -> BTreeSet<&EngineName> {
        let has_settings = |name: &&EngineName| !self.unset.contains(*name);
        self.names.names().iter().filter(has_settings).chain(self.unused.keys()).chain(FIRST_TWO.names()).collect()
    }

    /// The roles of the ranks. By default every rank serves all engines, one at a time, so that the later ones can
    /// recover what the first fails. But if only some of them have a model, the run has those that are like the first:
    /// the text of a stand-in must not come beside that of a model unasked.
    pub fn roles(&self) -> RolePattern {
        let is_stand_in = |engine: Engine| self.of(engine).server.is_stand_in();
        let alike = || self.all().filter(|engine| is_stand_in(*engine) == is_stand_in(Engine::FIRST));
        self.roles.clone().unwrap_or_else(|| RolePattern::all(Role::one_at_a_time(alike().collect())))
    }

    /// The engines that the roles name.
    pub fn served(&self) -> EngineSet {
        self.roles().engines()
    }

    /// The settings of each engine by its name, as a configuration file has them.
    pub(super) fn tables(&self) -> BTreeMap<EngineName, EngineSettings> {
        let of_stages = self.names.iter().map(|(engine, name)| (name.clone(), self.of(engine).clone()));
        of_stages.chain(self.unused.clone()).collect()
    }
}

impl Default for RunEngines {
    fn default() -> Self {
        let names = EngineNames::default();
        let settings = vec![EngineSettings::default(); names.names().len()];
        RunEngines { settings, roles: None, unused: BTreeMap::new(), unset: names.names().to_vec(), names }
    }
}

/// The stages where only roles are given.
fn stages_of(roles: &RoleNames) -> Result<EngineNames, EngineNamesError> {
    let named = roles.engines();
    let is_of_two = |name: &EngineName| FIRST_TWO.engine(name.as_str()).is_some();
    let has_first = named.contains(&FIRST_TWO[Engine::FIRST]);
    if has_first && named.iter().all(is_of_two) { Ok(FIRST_TWO.clone()) } else { EngineNames::new(named) }
}

#[cfg(test)]
mod tests {
    use crate::model::configuration::Configuration;

    fn engines(text: &str) -> Result<(String, String), String> {
        let engines = Configuration::from_toml(text).map_err(|error| error.to_string())?.engines;
        Ok((engines.names.text(engines.names.all(), " "), engines.roles().named(&engines.names).to_string()))
    }

    fn found(stages: &str, roles: &str) -> Result<(String, String), String> {
        Ok((stages.into(), roles.into()))
    }

    #[test]
    fn by_default_every_rank_serves_all_engines_but_no_stand_in_beside_a_model() {
        let launched = |engine: &str| format!("[engines.{engine}.server]\nkind = \"launch\"\n");
        let three = "stages = [\"surya-2\", \"chandra\", \"deepseek\"]\n";
        for (text, roles) in [
            (String::new(), "chandra/deepseek"),
            (launched("chandra") + &launched("deepseek"), "chandra/deepseek"),
            (launched("chandra"), "chandra"),
            (launched("deepseek"), "chandra"),
            ("roles = \"3*chandra,deepseek\"".to_owned(), "3*chandra,deepseek"),
            (three.to_owned(), "surya-2/chandra/deepseek"),
            (three.to_owned() + &launched("surya-2") + &launched("deepseek"), "surya-2/deepseek"),
        ] {
            assert_eq!(engines(&text).unwrap().1, roles, "{text}");
        }
    }

    #[test]
    fn roles_give_the_stages_where_none_are_named() {
        for (roles, stages) in [
            ("chandra", "chandra deepseek"),
            ("deepseek,chandra", "chandra deepseek"),
            ("deepseek", "deepseek"),
            ("surya-2", "surya-2"),
            ("2*surya-2,deepseek/chandra", "surya-2 deepseek chandra"),
        ] {
            assert_eq!(engines(&format!("roles = \"{roles}\"")).unwrap().0, stages, "{roles}");
        }
        let text = "stages = [\"deepseek\", \"chandra\"]\nroles = \"3*chandra,deepseek\"\n";
        assert_eq!(engines(text), found("deepseek chandra", "3*chandra,deepseek"));
    }

    #[test]
    fn what_contradicts_is_refused_with_the_remedy() {
        for (text, words) in [
            ("stages = []", "at least one"),
            ("stages = [\"a\", \"a\"]", "twice"),
            ("stages = [\"a b\"]", "begins with a letter"),
            ("[engines.\"a+b\"]\n", "begins with a letter"),
            ("stages = [\"chandra\"]\nroles = \"chandra,surya-2\"", "the stages are chandra; add surya-2 to `stages`"),
            ("stages = [\"surya-2\", \"chandra\"]\nroles = \"chandra\"", "add surya-2 to the roles"),
            ("[engines.chandr]\n", "the stages are chandra, deepseek; name it in `stages`"),
        ] {
            let error = engines(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        let both = "roles = \"surya-2\"\n[engines.chandra]\n[engines.deepseek]\n[engines.surya-2]\n";
        assert_eq!(engines(both), found("surya-2", "surya-2"), "one file serves runs with other engines too");
    }
}
