//! The numeric codes of enums in rows, and the names that the files publish for readers without this program.

use serde_json::{Map, Value, json};

use crate::model::{
    AttemptOutcome, ColumnsReason, EngineNames, EngineSet, FailureClass, FinishReason, Language, MachineFault,
    ServerKind, Stage, Verdict, View,
};

const VERDICTS: [(u8, &str); 4] = [(1, "read"), (2, "blank"), (3, "failed"), (4, "incomplete")];
const OUTCOMES: [(u8, &str); 4] = [(1, "accepted"), (2, "blank"), (3, "failed"), (4, "interrupted")];
const FINISHES: [FinishReason; 6] = [
    FinishReason::Stop,
    FinishReason::Length,
    FinishReason::Abort,
    FinishReason::Error,
    FinishReason::Repetition,
    FinishReason::Cut,
];
const FAULTS: [(MachineFault, u8, &str); 7] = [
    (MachineFault::ServerDied, 1, "server-died"),
    (MachineFault::ConnectionLost, 2, "connection-lost"),
    (MachineFault::Overloaded, 3, "overloaded"),
    (MachineFault::Aborted, 4, "aborted"),
    (MachineFault::RendererLost, 5, "renderer-lost"),
    (MachineFault::Draining, 6, "draining"),
    (MachineFault::InputLost, 7, "input-lost"),
];
const SERVERS: [ServerKind; 3] = [ServerKind::Model, ServerKind::StandInTesseract, ServerKind::StandInSynthetic];
const LANGUAGES: [Language; 4] = [Language::Unknown, Language::French, Language::Arabic, Language::Mixed];

/// A verdict as `(verdict, class)`.
pub(super) fn verdict(verdict: Verdict) -> (u8, u8) {
    match verdict {
        Verdict::Read => (1, 0),
        Verdict::Blank => (2, 0),
        Verdict::Failed(class) => (3, class as u8),
        Verdict::Incomplete => (4, 0),
    }
}

/// The verdict of `(verdict, class)`.
pub(super) fn verdict_from(verdict: u8, class: u8) -> Option<Verdict> {
    match verdict {
        1 => Some(Verdict::Read),
        2 => Some(Verdict::Blank),
        3 => FailureClass::from_code(class).map(Verdict::Failed),
        4 => Some(Verdict::Incomplete),
        _ => None,
    }
}

/// An outcome as `(outcome, class, fault)`.
pub(super) fn outcome(outcome: AttemptOutcome) -> (u8, u8, u8) {
    match outcome {
        AttemptOutcome::Accepted => (1, 0, 0),
        AttemptOutcome::Blank => (2, 0, 0),
        AttemptOutcome::Failed(class) => (3, class as u8, 0),
        AttemptOutcome::Interrupted(fault) => {
            (4, 0, FAULTS.iter().find(|(known, ..)| *known == fault).map_or(0, |(_, code, _)| *code))
        }
    }
}

/// The outcome of `(outcome, class, fault)`.
pub(super) fn outcome_from(outcome: u8, class: u8, fault: u8) -> Option<AttemptOutcome> {
    match outcome {
        1 => Some(AttemptOutcome::Accepted),
        2 => Some(AttemptOutcome::Blank),
        3 => FailureClass::from_code(class).map(AttemptOutcome::Failed),
        4 => FAULTS.iter().find(|(_, code, _)| *code == fault).map(|(fault, ..)| AttemptOutcome::Interrupted(*fault)),
        _ => None,
    }
}

/// The name of an outcome in exports.
pub(super) fn outcome_name(outcome: AttemptOutcome) -> &'static str {
    match outcome {
        AttemptOutcome::Accepted => "accepted",
        AttemptOutcome::Blank => "blank",
        AttemptOutcome::Failed(_) => "failed",
        AttemptOutcome::Interrupted(_) => "interrupted",
    }
}

/// The name of a machine fault in exports.
pub(super) fn fault_name(fault: MachineFault) -> Option<&'static str> {
    FAULTS.iter().find(|(known, ..)| *known == fault).map(|(.., name)| *name)
}

/// The finish reason with this code.
pub(super) fn finish_from(code: u8) -> Option<FinishReason> {
    FINISHES.into_iter().find(|finish| *finish as u8 == code)
}

/// The names of all codes as JSON, `{"verdict": {"1": "read", …}, …}`: the root attribute `codes`.
pub(super) fn json(names: &EngineNames) -> String {
    fn table<'a>(entries: impl IntoIterator<Item = (u8, &'a str)>) -> Value {
        Value::Object(entries.into_iter().map(|(code, name)| (code.to_string(), name.into())).collect::<Map<_, _>>())
    }
    let stages = Stage::all().filter(|stage| names.has(stage.engine()));
    json!({
        "verdict": table(VERDICTS),
        "class": table(FailureClass::ALL.iter().map(|class| (*class as u8, class.name()))),
        "ahead": table(names.iter().map(|(engine, name)| (EngineSet::only(engine).code(), name.as_str()))),
        "server": table(SERVERS.map(|server| (server as u8, server.name()))),
        "language": table(LANGUAGES.map(|language| (language as u8, language.name()))),
        "visit": table(stages.map(|stage| (stage.code(), stage.name()))),
        "view": table(View::ALL.map(|view| (view as u8, view.name()))),
        "columns_reason": table(ColumnsReason::ALL.map(|reason| (reason as u8, reason.name()))),
        "outcome": table(OUTCOMES),
        "fault": table(FAULTS.map(|(_, code, name)| (code, name))),
        "finish": table(FINISHES.map(|finish| (finish as u8, finish.name()))),
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_survives_its_code() {
        let failed = FailureClass::ALL.iter().map(|class| Verdict::Failed(*class));
        for value in [Verdict::Read, Verdict::Blank, Verdict::Incomplete].into_iter().chain(failed) {
            let (code, class) = verdict(value);
            assert_eq!(verdict_from(code, class), Some(value));
        }
        let failed = FailureClass::ALL.iter().map(|class| AttemptOutcome::Failed(*class));
        let interrupted = FAULTS.iter().map(|(fault, ..)| AttemptOutcome::Interrupted(*fault));
        for value in [AttemptOutcome::Accepted, AttemptOutcome::Blank].into_iter().chain(failed).chain(interrupted) {
            let (code, class, fault) = outcome(value);
            assert_eq!(outcome_from(code, class, fault), Some(value));
        }
        for finish in FINISHES {
            assert_eq!(finish_from(finish as u8), Some(finish));
        }
        assert_eq!((verdict_from(0, 0), outcome_from(4, 0, 0), finish_from(0)), (None, None, None));
    }

    #[test]
    fn the_published_names_are_those_of_the_model() {
        let codes: Value = serde_json::from_str(&json(&EngineNames::default())).unwrap();
        for value in [Verdict::Read, Verdict::Blank, Verdict::Failed(FailureClass::Loop), Verdict::Incomplete] {
            assert_eq!(codes["verdict"][verdict(value).0.to_string()], value.name());
        }
        assert_eq!(codes["class"]["10"], FailureClass::Loop.name());
        assert_eq!(codes["fault"]["1"], "server-died");
        assert_eq!(codes["ahead"], json!({ "1": "chandra", "2": "deepseek" }));
        assert_eq!(codes["visit"], json!({ "1": "first", "2": "second", "3": "return" }));
        assert_eq!(codes["language"]["2"], "ar");
    }
}
