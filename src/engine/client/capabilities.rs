//! The capabilities of a server, as it reports them at the handshake.

use tracing::warn;

use crate::{
    engine::{EngineError, Profile, ServerMetrics, Version},
    model::{Capabilities, FinishReason, ServerKind},
};

/// The first release with `repetition_detection` and the finish reasons `error` and `repetition` (`docs/facts/vllm.md`,
/// "Endings and sampling").
const REPETITION_DETECTION: Version = Version::new(0, 17, 0);

/// A server's context may be smaller than the profile's by at most this factor. A page and an answer of ordinary length
/// take half of it.
const LEAST_CONTEXT: u64 = 2;

impl Capabilities {
    /// The capabilities that follow from a server's version and model. A version that names no release has no optional
    /// ones.
    pub fn new(version: &str, model: &str, max_model_len: u32, server: ServerKind) -> Capabilities {
        let release = version.parse::<Version>().ok();
        let repetition_detection = release.is_some_and(|release| release >= REPETITION_DETECTION);
        let mut finish_reasons = vec![FinishReason::Stop, FinishReason::Length, FinishReason::Abort];
        if repetition_detection {
            finish_reasons.extend([FinishReason::Error, FinishReason::Repetition]);
        }
        Capabilities {
            version: version.into(),
            model: model.into(),
            root: None,
            max_model_len,
            server,
            repetition_detection,
            ngram_processor: None,
            finish_reasons,
            metrics: None,
        }
    }

    /// Adds the gauges that the server's `/metrics` offers.
    pub(in crate::engine) fn set_metrics(&mut self, metrics: Option<ServerMetrics>) {
        self.metrics = metrics.map(|metrics| metrics.offered().map(String::from).collect());
    }

    /// Refuses a server whose version is too old for the profile's model. Warns of a version that the profile says to
    /// avoid, and of one that names no release.
    pub(in crate::engine) fn check_version(&self, profile: &Profile, address: &str) -> Result<(), EngineError> {
        let Ok(version) = self.version.parse::<Version>() else {
            let (reported, needed) = (&self.version, profile.min_version);
            warn!(
                server = address,
                "the server reports the version `{reported}`, which is no release: profile {} needs {needed} or later; \
                 features of later releases are not used",
                profile.name
            );
            return Ok(());
        };
        if version < profile.min_version {
            return Err(EngineError::TooOld {
                address: address.into(),
                version: self.version.clone(),
                profile: profile.name.clone(),
                model: profile.model.clone(),
                needed: profile.min_version,
            });
        }
        // A stand-in that reports this version does not have its faults.
        let avoided = profile.avoid.iter().find(|avoided| avoided.version == version);
        if let (Some(avoided), ServerKind::Model) = (avoided, self.server) {
            warn!(
                server = address,
                "AVOID vLLM {version} for profile {}: {}; install another version", profile.name, avoided.reason
            );
        }
        Ok(())
    }

    /// Refuses a server whose context is far below the profile's.
    pub(in crate::engine) fn check_context(&self, profile: &Profile, address: &str) -> Result<(), EngineError> {
        if u64::from(self.max_model_len) * LEAST_CONTEXT < u64::from(profile.context_length) {
            return Err(EngineError::ShortContext {
                address: address.into(),
                context: self.max_model_len,
                profile: profile.name.clone(),
                wanted: profile.context_length,
            });
        }
        Ok(())
    }

    /// Warns of missing capabilities that a run would use.
    pub(in crate::engine) fn warn_of_gaps(&self, profile: &Profile, address: &str) {
        if self.ngram_processor == Some(false) {
            warn!(
                server = address,
                "the server has no n-gram processor: start it with the --logits-processors of profile {}", profile.name
            );
        }
        match self.metrics.as_deref() {
            None => warn!(server = address, "the server has no /metrics: its load is unknown"),
            Some([]) => warn!(
                server = address,
                "the server's /metrics has no figures of the engine, so its load is unknown: start it without \
                 --disable-log-stats"
            ),
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(version: &str) -> Capabilities {
        Capabilities::new(version, "m", 1, ServerKind::Model)
    }

    #[test]
    fn what_a_version_can_do_is_read_from_it() {
        for version in ["0.17.0", "v0.17.1", "0.32.0rc1+g12", "1.0"] {
            assert!(of(version).repetition_detection, "{version}");
            assert!(of(version).finish_reasons.contains(&FinishReason::Repetition));
        }
        for version in ["0.11.2", "0.9", "dev", "", "0.1.dev1+g1234"] {
            assert!(!of(version).repetition_detection, "{version}");
            assert!(!of(version).finish_reasons.contains(&FinishReason::Error));
        }
    }

    #[test]
    fn a_server_too_old_for_the_model_is_refused_with_the_remedy() {
        let profile = Profile::load("chandra-2", None).unwrap();
        let error = of("0.11.2").check_version(&profile, "http://n7").unwrap_err().to_string();
        for word in ["http://n7", "0.11.2", "0.17.0 or later", "chandra-2", "pip install"] {
            assert!(error.contains(word), "{word}: {error}");
        }
        for version in ["0.17.0", "0.17.0rc1", "0.32.0", "dev"] {
            assert!(of(version).check_version(&profile, "").is_ok(), "{version}");
        }
        let first = Profile::load("chandra", None).unwrap();
        assert!(of("0.11.2").check_version(&first, "").is_ok());
    }

    #[test]
    fn a_context_far_below_the_profiles_is_refused_with_the_remedy() {
        let profile = Profile::load("chandra-2", None).unwrap();
        let with = |context| Capabilities::new("0.17.0", "m", context, ServerKind::Model);
        for context in [9_000, 18_000, 262_144] {
            assert!(with(context).check_context(&profile, "").is_ok(), "{context}");
        }
        for context in [2_048, 4_096, 8_999] {
            let error = with(context).check_context(&profile, "http://n7").unwrap_err().to_string();
            assert!(error.contains("http://n7") && error.contains("--max-model-len 18000"), "{error}");
        }
    }

    #[test]
    fn the_metrics_that_a_server_offers_are_named_and_an_empty_page_is_no_missing_one() {
        let mut server = of("0.17.0");
        server.set_metrics(Some(ServerMetrics::parse("vllm:num_requests_running 1.0\n")));
        assert_eq!(server.metrics, Some(vec!["num_requests_running".into()]));
        server.set_metrics(Some(ServerMetrics::parse("python_info 1.0\n")));
        assert_eq!(server.metrics, Some(Vec::new()));
        server.set_metrics(None);
        assert_eq!(server.metrics, None);
    }
}
