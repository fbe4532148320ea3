//! Values of a job file. Each is checked when it is parsed, so that an error names its line.

use std::{fmt, num::NonZeroU32, str::FromStr, time::Duration};

use bytesize::ByteSize;
use serde::Deserialize;

use crate::sys::parse_walltime;

/// A value that PBS would not accept; the message has the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(String);

impl ValueError {
    pub(crate) fn new(remedy: String) -> Self {
        ValueError(remedy)
    }
}

/// Parses a value of this type from its text.
macro_rules! read_from_text {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = ValueError;

            fn try_from(text: String) -> Result<Self, ValueError> {
                text.parse()
            }
        }
    )*};
}

read_from_text!(PbsWord, JobName, Place, Walltime, Memory, MailEvents, PbsOption, SetupLines);

/// A word that can stand in a `#PBS` line unquoted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PbsWord(String);

impl FromStr for PbsWord {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let plain = |character: char| character.is_ascii_alphanumeric() || "_.,:@%+=/-".contains(character);
        if !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
            Ok(PbsWord(text.to_owned()))
        } else {
            Err(ValueError(format!(
                "`{}` does not fit into a #PBS line: use letters a to z, digits and _ . , : @ % + = / - only",
                text.escape_debug()
            )))
        }
    }
}

/// Name of a job.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct JobName(String);

/// Longest name of a job, bytes: `PBS_MAXJOBNAME` of pbs_ifl.h.
const LONGEST_NAME: usize = 230;

impl JobName {
    /// `bocr-` and this text, with `_` in place of characters that a name may not have.
    pub fn after(text: &str) -> JobName {
        let fitting = |character: char| if is_of_names(character) { character } else { '_' };
        JobName(format!("bocr-{text}").chars().map(fitting).take(LONGEST_NAME).collect())
    }
}

fn is_of_names(character: char) -> bool {
    character.is_ascii_alphanumeric() || "_.+-".contains(character)
}

impl FromStr for JobName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let begins = text.starts_with(|first: char| first.is_ascii_alphabetic());
        if begins && text.len() <= LONGEST_NAME && text.chars().all(is_of_names) {
            Ok(JobName(text.to_owned()))
        } else {
            Err(ValueError(format!(
                "`{}` is not a valid job name: begin with a letter a to z, and use letters, digits and _ . + - only, \
                 at most {LONGEST_NAME}",
                text.escape_debug()
            )))
        }
    }
}

/// How chunks are placed on hosts: `scatter`, `scatter:excl`, `pack:group=switch`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Place(String);

impl Place {
    /// Every chunk on a host of its own.
    pub fn scatter() -> Place {
        Place("scatter".into())
    }
}

impl FromStr for Place {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let known = |part: &str| match part.strip_prefix("group=") {
            Some(resource) => !resource.is_empty() && resource.chars().all(is_of_names),
            None => ["free", "pack", "scatter", "vscatter", "excl", "shared", "exclhost"].contains(&part),
        };
        if text.split(':').all(known) {
            Ok(Place(text.to_owned()))
        } else {
            Err(ValueError(format!(
                "`{}` is not a valid place: give free, pack, scatter or vscatter, then :excl, :shared or :exclhost, \
                 then :group=RESOURCE, each if wanted",
                text.escape_debug()
            )))
        }
    }
}

/// Longest time that a job may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Walltime(Duration);

impl Walltime {
    /// The walltime as a duration.
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Walltime {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let is_number = |field: &str, digits: std::ops::RangeInclusive<usize>| {
            digits.contains(&field.len()) && field.bytes().all(|byte| byte.is_ascii_digit())
        };
        let below_sixty = |field: &str| is_number(field, 2..=2) && field < "60";
        let is_clock = match text.split(':').collect::<Vec<_>>()[..] {
            [hours, minutes, seconds] => is_number(hours, 1..=4) && below_sixty(minutes) && below_sixty(seconds),
            _ => false,
        };
        match parse_walltime(text).filter(|time| is_clock && !time.is_zero()) {
            Some(time) => Ok(Walltime(time)),
            None => Err(ValueError(format!(
                "`{}` is not a valid walltime: give HH:MM:SS, e.g. 23:30:00; two days are 48:00:00",
                text.escape_debug()
            ))),
        }
    }
}

impl fmt::Display for Walltime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        write!(f, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

/// Memory of a node in PBS's units: `180gb` is 180 times 1024³ bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Memory(pub ByteSize);

impl FromStr for Memory {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let unit = text.trim_start_matches(|character: char| character.is_ascii_digit());
        let factor = match unit.to_ascii_lowercase().as_str() {
            "mb" | "mib" => Some(bytesize::MIB),
            "gb" | "gib" => Some(bytesize::GIB),
            "tb" | "tib" => Some(bytesize::TIB),
            _ => None,
        };
        let number = text[..text.len() - unit.len()].parse().ok().filter(|number: &u64| *number > 0);
        match factor.zip(number).and_then(|(factor, number)| number.checked_mul(factor)) {
            Some(bytes) => Ok(Memory(ByteSize::b(bytes))),
            None => Err(ValueError(format!(
                "`{}` is not a valid amount of memory: give a whole number with mb, gb or tb, e.g. 180gb",
                text.escape_debug()
            ))),
        }
    }
}

/// The events for which PBS sends mail: letters of `abe` (abort, begin, end), or `n` for none.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct MailEvents(String);

impl FromStr for MailEvents {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let events = !text.is_empty() && text.chars().all(|letter| "abe".contains(letter));
        if events || text == "n" {
            Ok(MailEvents(text.to_owned()))
        } else {
            Err(ValueError(format!(
                "`{}` does not say when to send mail: give letters of `abe` (abort, begin, end), or n",
                text.escape_debug()
            )))
        }
    }
}

/// A further `#PBS` line, without `#PBS`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PbsOption(String);

impl FromStr for PbsOption {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if !text.starts_with('-') || text.chars().any(char::is_control) {
            return Err(ValueError(format!(
                "`{}` is not an option of qsub on one line: give e.g. \"-W umask=022\", without #PBS",
                text.escape_debug()
            )));
        }
        for (letter, value) in options_of(text) {
            if let Some(instead) = said_otherwise(letter, &value) {
                return Err(ValueError(format!("leave -{letter} out of `{}`: {instead}", text.escape_debug())));
            }
        }
        Ok(PbsOption(text.to_owned()))
    }
}

impl PbsOption {
    /// Whether it passes variables to the job. A -v on qsub's command line replaces it.
    pub(crate) fn sets_variables(&self) -> bool {
        options_of(&self.0).iter().any(|(letter, _)| *letter == 'v')
    }

    /// Whether it says if the job goes on after the loss of a node.
    pub(crate) fn says_what_lost_nodes_mean(&self) -> bool {
        options_of(&self.0).iter().any(|(letter, value)| *letter == 'W' && value.contains(TOLERATE_NODE_FAILURES))
    }
}

/// The attribute of `-W` for jobs that lose a node (pbs_job_attributes(7B)).
pub(crate) const TOLERATE_NODE_FAILURES: &str = "tolerate_node_failures";

/// Options of qsub that have no value (qsub(1B)).
const WITHOUT_VALUE: &str = "fhIVXz";

/// The options in a line, each with its value, which is attached or the next word.
fn options_of(line: &str) -> Vec<(char, String)> {
    let mut options = Vec::new();
    let mut words = line.split_whitespace();
    while let Some(letters) = words.next().map(|word| word.strip_prefix('-').unwrap_or_default()) {
        let Some((at, letter)) = letters.char_indices().find(|(_, letter)| !WITHOUT_VALUE.contains(*letter)) else {
            continue;
        };
        let attached = &letters[at + letter.len_utf8()..];
        let value = if attached.is_empty() { words.next().unwrap_or_default() } else { attached };
        options.push((letter, value.to_owned()));
    }
    options
}

/// How a job file sets this option otherwise, if it does. PBS would obey only one of two lines for it.
fn said_otherwise(letter: char, value: &str) -> Option<String> {
    let key = match letter {
        'N' => "name",
        'q' => "queue",
        'A' => "account",
        'M' => "mail",
        'm' => "mail_on",
        'r' => "rerunnable",
        'J' => return Some("every job of an array would work in the same run directory: ask for more `nodes`".into()),
        'W' if value.starts_with("block") => {
            return Some("qsub would wait for the end of the job: use `bocr submit --follow`".into());
        }
        'o' | 'e' | 'j' | 'k' => return Some("the output goes to RUN/job/output, where `bocr follow` looks".into()),
        'l' => {
            value.split(',').find_map(|resource| match resource.trim_start_matches(['"', '\'']).split('=').next() {
                Some("walltime") => Some("walltime"),
                Some("place") => Some("place"),
                Some("select") => Some("nodes, cores, memory, gpus and ranks"),
                _ => None,
            })?
        }
        _ => return None,
    };
    Some(format!("set it by its own key, {key}"))
}

/// Lines of bash that make the site's programs available, without the final line break.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct SetupLines(String);

impl FromStr for SetupLines {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text.chars().find(|character| character.is_control() && !['\n', '\t'].contains(character)) {
            None => Ok(SetupLines(text.trim_end().to_owned())),
            Some(character) => Err(ValueError(format!(
                "these lines contain the character {}, which bash would read as part of a word: remove it",
                character.escape_debug()
            ))),
        }
    }
}

/// Displays the text as PBS and bash read it.
macro_rules! shown_as_text {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

shown_as_text!(PbsWord, JobName, Place, MailEvents, PbsOption, SetupLines);

/// Values that a submit gives in place of those of the job file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Number of nodes.
    pub nodes: Option<NonZeroU32>,
    /// Walltime.
    pub walltime: Option<Walltime>,
    /// Most successors of the job.
    pub chain: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walltime_is_hours_minutes_and_seconds_and_nothing_else() {
        let shown = |text: &str| text.parse::<Walltime>().map(|walltime| walltime.to_string()).ok();
        assert_eq!(shown("23:30:00").as_deref(), Some("23:30:00"));
        assert_eq!(shown("8:00:00").as_deref(), Some("08:00:00"));
        assert_eq!(shown("120:00:00").as_deref(), Some("120:00:00"));
        for wrong in ["", "23:30", "3600", "1:60:00", "0:00:00", "1-00:00:00", "01:00:0", "+1:00:00", "99999:00:00"] {
            assert_eq!(shown(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn memory_is_counted_as_pbs_counts_it() {
        assert_eq!("180gb".parse(), Ok(Memory(ByteSize::gib(180))));
        assert_eq!("1500MiB".parse(), Ok(Memory(ByteSize::mib(1500))));
        for wrong in ["", "gb", "180", "1.5gb", "180 gb", "0gb", "99999999999999999999gb", "18446744073709551615tb"] {
            assert!(wrong.parse::<Memory>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_would_break_a_pbs_line_is_refused_with_the_remedy() {
        for wrong in ["", "-q", "gpu 1d", "gpu\"", "a\nb", "ق", "$(x)", "a#b", "a'b"] {
            let error = wrong.parse::<PbsWord>().unwrap_err().to_string();
            assert!(error.contains("letters a to z") && !error.contains('\n'), "{error}");
        }
        assert!("2nd".parse::<JobName>().is_err() && "a b".parse::<JobName>().is_err());
        assert_eq!(JobName::after("bo 1912 العربية").to_string(), "bocr-bo_1912________");
        assert!("scatter:excl:group=switch".parse::<Place>().is_ok());
        assert!("scattered".parse::<Place>().is_err() && "scatter:group=".parse::<Place>().is_err());
        assert!("abe".parse::<MailEvents>().is_ok() && "n".parse::<MailEvents>().is_ok());
        assert!("an".parse::<MailEvents>().is_err() && "".parse::<MailEvents>().is_err());
        assert!("-W umask=022".parse::<PbsOption>().is_ok() && "#PBS -W x".parse::<PbsOption>().is_err());
        for (option, instead) in [
            ("-o /tmp", "RUN/job/output"),
            ("-j oe", "RUN/job/output"),
            ("-J 0-3", "same run directory"),
            ("-W umask=022 -Wblock=true", "--follow"),
            ("-N x", "name"),
            ("-W umask=022 -rn", "rerunnable"),
            ("-l software=x,walltime=1:00:00", "walltime"),
            ("-lselect=2", "nodes"),
            ("-l 'place=pack'", "place"),
            ("-hq other", "queue"),
        ] {
            let error = option.parse::<PbsOption>().unwrap_err().to_string();
            assert!(error.contains(instead), "{option}: {error}");
        }
        assert!("-l software=walltime".parse::<PbsOption>().is_ok() && "-p -5".parse::<PbsOption>().is_ok());
        let sets = |text: &str| text.parse::<PbsOption>().unwrap().sets_variables();
        assert!(sets("-v A=b") && sets("-W umask=022 -vA") && !sets("-V") && !sets("-W v"));
        assert!("module load a\n\tmodule load b\n".parse::<SetupLines>().is_ok());
        assert!("module load a\r\n".parse::<SetupLines>().unwrap_err().to_string().contains("\\r"));
    }
}
