//! Whether servers can stay when the settings of the runs change.

use std::collections::BTreeMap;

use crate::{
    engine::Profile,
    model::{
        EngineName,
        configuration::{Configuration, EngineSettings, ServerSource},
    },
    worker::WorkerError,
};

use super::error::ExperimentError;

/// What the servers of a run depend on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ServerSettings {
    /// What is launched, by engine: server, model, and the launch command of the profile.
    launched: BTreeMap<EngineName, (ServerSource, Option<String>, String)>,
    /// How rank and server speak: the rest of the settings, and the profile.
    spoken: BTreeMap<EngineName, (EngineSettings, String)>,
    roles: String,
}

/// What a change of settings means for servers that run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// Their ranks must speak otherwise to them.
    Client,
    /// They must be started anew.
    Server,
}

impl ServerSettings {
    /// # Errors
    /// A profile cannot be used.
    pub(super) fn of(configuration: &Configuration) -> Result<ServerSettings, ExperimentError> {
        let engines = &configuration.engines;
        let (mut launched, mut spoken) = (BTreeMap::new(), BTreeMap::new());
        for engine in engines.all() {
            let (name, settings) = (engines.name(engine).clone(), engines.of(engine));
            let prompt_file = settings.prompt_file.as_deref();
            let profile = Profile::load(engines.profile(engine), prompt_file).map_err(WorkerError::from)?;
            let text = |of: &dyn Fn() -> Result<String, toml::ser::Error>| of().map_err(WorkerError::Configuration);
            let launch = text(&|| toml::to_string(&profile.launch))?;
            launched.insert(name.clone(), (settings.server.clone(), settings.model.clone(), launch));
            // A run sets the number of requests in flight by itself.
            let rest = EngineSettings { in_flight: None, ..settings.clone() };
            spoken.insert(name, (rest, text(&|| profile.to_toml())?));
        }
        Ok(ServerSettings { launched, spoken, roles: engines.roles().named(engines.names()).to_string() })
    }

    pub(super) fn change_to(&self, other: &ServerSettings) -> Change {
        if (&self.launched, &self.roles) != (&other.launched, &other.roles) {
            Change::Server
        } else if self.spoken != other.spoken {
            Change::Client
        } else {
            Change::None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_stay_where_only_the_client_changes() {
        let settings = |text: &str| {
            let server = "[engines.chandra.server]\nkind = \"stand-in\"\nmode = \"synthetic\"\n";
            let text = format!("roles = \"chandra\"\n[engines.chandra]\n{text}\n{server}");
            ServerSettings::of(&Configuration::from_toml(&text).unwrap()).unwrap()
        };
        let base = settings("");
        let change = |text: &str| base.change_to(&settings(text));
        assert_eq!(change("in_flight = 7"), Change::None);
        assert_eq!(change("attempts = 2"), Change::Client);
        assert_eq!(change("model = \"other\""), Change::Server);
        // The launch command of Chandra 1 differs from that of Chandra 2.
        assert_eq!(change("profile = \"deepseek-ocr\""), Change::Server);
    }
}
