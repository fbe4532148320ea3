//! The attributes of a PBS job from the text of `qstat -f`, and the time formats of schedulers.
//!
//! The JSON of `qstat` is not used: older versions of PBS Pro do not write it, and some versions write values into it
//! that break it.

use std::{collections::BTreeMap, str::FromStr, time::Duration};

/// The attributes of a job, by their names in `qstat -f`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobAttributes(BTreeMap<String, String>);

impl JobAttributes {
    /// Reads the answer of `qstat -f` about one job; `None` where it describes no job.
    pub fn parse(answer: &str) -> Option<JobAttributes> {
        // A long value continues in lines that begin with a tab.
        let joined = answer.replace("\n\t", "");
        let attributes = joined.lines().filter_map(|line| line.trim_start().split_once(" = "));
        let attributes: BTreeMap<_, _> = attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        attributes.contains_key("job_state").then_some(JobAttributes(attributes))
    }

    /// The value of an attribute.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The remaining walltime: `Resource_List.walltime` less `resources_used.walltime`, which is missing in a job's
    /// first moments. `None` for a job without a limit.
    ///
    /// # Errors
    /// A walltime cannot be parsed; the error has the attribute and its value.
    pub fn walltime_left(&self) -> Result<Option<Duration>, String> {
        let time = |name: &str| match self.get(name) {
            Some(text) => parse_walltime(text).map(Some).ok_or_else(|| format!("its answer has `{name} = {text}`")),
            None => Ok(None),
        };
        let Some(limit) = time("Resource_List.walltime")? else { return Ok(None) };
        Ok(Some(limit.saturating_sub(time("resources_used.walltime")?.unwrap_or_default())))
    }
}

/// Parses a duration in one of the forms `1-02:03:04` (with days), `26:03:04`, `03:04` (minutes and seconds) and `90`
/// (seconds); `None` for any other text.
pub fn parse_walltime(text: &str) -> Option<Duration> {
    let (days, clock) = text.split_once('-').unwrap_or(("0", text));
    let fields: Vec<u64> = clock.split(':').map(|field| u64::from_str(field).ok()).collect::<Option<_>>()?;
    let seconds = match fields[..] {
        [seconds] => seconds,
        [minutes, seconds] => 60 * minutes + seconds,
        [hours, minutes, seconds] => 3600 * hours + 60 * minutes + seconds,
        _ => return None,
    };
    Some(Duration::from_secs(86_400 * u64::from_str(days).ok()? + seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walltimes_are_read_as_schedulers_write_them() {
        let seconds = |text| parse_walltime(text).map(|time| time.as_secs());
        assert_eq!(seconds("23:30:00"), Some(84_600));
        assert_eq!(seconds("1-00:00:10"), Some(86_410));
        assert_eq!((seconds("90"), seconds("01:30")), (Some(90), Some(90)));
        assert_eq!((seconds("soon"), seconds("1:2:3:4")), (None, None));
    }

    #[test]
    fn what_a_job_has_used_is_taken_off_its_walltime() {
        let left = |lines: &str| JobAttributes::parse(&format!("Job Id: 7.pbs\n    job_state = R\n{lines}"));
        let left = |lines: &str| left(lines).unwrap().walltime_left();
        let limit = "    Resource_List.walltime = 01:00:00\n";
        assert_eq!(left(limit), Ok(Some(Duration::from_secs(3600))));
        let used = format!("    resources_used.walltime = 00:10:00\n{limit}    Variable_List = A=b,\n\tB=c\n");
        assert_eq!(left(&used), Ok(Some(Duration::from_secs(3000))));
        assert_eq!(left(""), Ok(None));
        assert!(left("    Resource_List.walltime = soon\n").unwrap_err().contains("soon"));
        assert_eq!(JobAttributes::parse("qstat: nonsense"), None);
    }
}
