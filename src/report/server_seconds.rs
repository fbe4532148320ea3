//! The time accounting of servers in `report.json`: numbers of seconds. Earlier programs wrote `{secs, nanos}`.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::{EngineName, ServerTime, TimeWithoutPages};

#[derive(Serialize, Deserialize)]
struct Written {
    busy: Seconds,
    #[serde(alias = "starved_by_rendering")]
    idle_rendering: Seconds,
    #[serde(alias = "starved_by_coordinator")]
    idle_no_pages: Seconds,
    starting: Seconds,
    down: Seconds,
    draining: Seconds,
    /// Parts of `idle_no_pages`, apart from the seconds that are counted once.
    #[serde(default)]
    without_pages: WithoutPages,
}

#[derive(Default, Serialize, Deserialize)]
struct WithoutPages {
    planning: Seconds,
    last_pages: Seconds,
    other_engine: Seconds,
    trials: Seconds,
}

#[derive(Default)]
struct Seconds(Duration);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_secs_f64())
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(f64),
            Earlier { secs: u64, nanos: u32 },
        }
        match Form::deserialize(deserializer)? {
            Form::Number(seconds) => {
                Duration::try_from_secs_f64(seconds).map(Seconds).map_err(serde::de::Error::custom)
            }
            Form::Earlier { secs, nanos } => {
                let nanos = Duration::from_nanos(nanos.into());
                Duration::from_secs(secs)
                    .checked_add(nanos)
                    .map(Seconds)
                    .ok_or_else(|| serde::de::Error::custom("the time is too long: report.json is damaged"))
            }
        }
    }
}

/// Writes the times of each engine's servers.
pub(super) fn serialize<S: Serializer>(
    times: &BTreeMap<EngineName, ServerTime>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(times.iter().map(|(engine, time)| {
        let written = Written {
            busy: Seconds(time.busy),
            idle_rendering: Seconds(time.idle_rendering),
            idle_no_pages: Seconds(time.idle_no_pages),
            starting: Seconds(time.starting),
            down: Seconds(time.down),
            draining: Seconds(time.draining),
            without_pages: WithoutPages {
                planning: Seconds(time.without_pages.planning),
                last_pages: Seconds(time.without_pages.last_pages),
                other_engine: Seconds(time.without_pages.other_engine),
                trials: Seconds(time.without_pages.trials),
            },
        };
        (engine, written)
    }))
}

/// Reads them in either format.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<EngineName, ServerTime>, D::Error> {
    let written = BTreeMap::<EngineName, Written>::deserialize(deserializer)?;
    let time = |written: Written| ServerTime {
        busy: written.busy.0,
        idle_rendering: written.idle_rendering.0,
        idle_no_pages: written.idle_no_pages.0,
        without_pages: TimeWithoutPages {
            planning: written.without_pages.planning.0,
            last_pages: written.without_pages.last_pages.0,
            other_engine: written.without_pages.other_engine.0,
            trials: written.without_pages.trials.0,
        },
        starting: written.starting.0,
        down: written.down.0,
        draining: written.draining.0,
    };
    Ok(written.into_iter().map(|(engine, written)| (engine, time(written))).collect())
}
