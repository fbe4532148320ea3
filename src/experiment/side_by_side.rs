//! Results of several experiments in one table.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use serde_json::{Map, Value};

use super::{
    comparison::verdict,
    error::ExperimentError,
    results::{Line, Measurement, RESULTS_FILE, Setting},
    statistics::Sample,
    tables::{estimate_text, head},
};

/// The rates of one experiment, by subject.
struct Column {
    setting: Setting,
    rates: BTreeMap<Subject, Vec<f64>>,
}

/// A point of a curve or an arm of a comparison. Points are in order of their ranks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Subject {
    name: String,
    ranks: Option<u64>,
}

impl Subject {
    fn of(keys: &Map<String, Value>) -> Subject {
        let text = |key| keys.get(key).and_then(Value::as_str).map(str::to_owned);
        let ranks = keys.get("ranks").and_then(Value::as_u64);
        Subject { name: text("mode").or(text("arm")).unwrap_or_default(), ranks }
    }

    fn text(&self) -> String {
        self.ranks.map_or_else(|| self.name.clone(), |ranks| format!("{}, {ranks} ranks", self.name))
    }
}

/// The results of these experiments as Markdown: pages a second of each point or arm, a column for each experiment, and
/// the ratio of each to the first. A path is an experiment's folder or its `results.jsonl`.
///
/// # Errors
/// A file cannot be read, or has no results.
pub fn side_by_side(paths: &[impl AsRef<Path>]) -> Result<String, ExperimentError> {
    let columns: Vec<Column> = paths.iter().map(|path| read(path.as_ref())).collect::<Result<_, _>>()?;
    let letters: Vec<String> = (0..columns.len()).map(letter).collect();
    let mut text = String::from("# Experiments side by side\n\n");
    for (column, letter) in columns.iter().zip(&letters) {
        let pages: Vec<String> =
            column.setting.pages.iter().map(|(option, pages)| format!("{option} {pages}")).collect();
        let _ =
            writeln!(text, "- **{letter}**: {}; {}; {}", column.setting.kind, pages.join(" "), head(&column.setting));
    }
    let later = letters.get(1..).unwrap_or_default();
    let ratios: String = later.iter().map(|letter| format!(" {letter} to A | verdict |")).collect();
    let _ = write!(
        text,
        "\nPages a second while pages were read, with half of the 95 % interval of the mean (Student).\n\n"
    );
    let _ = writeln!(text, "| | {} |{ratios}", letters.join(" | "));
    let _ = writeln!(text, "|---|{}", "---|".repeat(letters.len() + 2 * later.len()));
    let mut subjects: Vec<&Subject> = columns.iter().flat_map(|column| column.rates.keys()).collect();
    subjects.sort();
    subjects.dedup();
    for subject in subjects {
        let samples: Vec<Option<Sample>> =
            columns.iter().map(|column| column.rates.get(subject).cloned().map(Sample::of)).collect();
        let rates: Vec<String> = samples
            .iter()
            .map(|sample| sample.as_ref().map_or("-".into(), |sample| estimate_text(sample.estimate(), 2)))
            .collect();
        let _ = write!(text, "| {} | {} |", subject.text(), rates.join(" | "));
        let base = samples.first().cloned().flatten();
        for sample in samples.iter().skip(1) {
            match (sample, &base) {
                (Some(sample), Some(base)) => {
                    let ratio = sample.over(base);
                    let _ = write!(text, " {} | {} |", estimate_text(ratio, 3), verdict(ratio));
                }
                _ => text.push_str(" - | - |"),
            }
        }
        text.push('\n');
    }
    Ok(text)
}

/// A, B … Z, and numbers beyond.
fn letter(place: usize) -> String {
    u8::try_from(place)
        .ok()
        .filter(|place| *place < 26)
        .map_or_else(|| (place + 1).to_string(), |place| char::from(b'A' + place).to_string())
}

fn read(path: &Path) -> Result<Column, ExperimentError> {
    let path = if path.is_dir() { path.join(RESULTS_FILE) } else { path.to_owned() };
    let text = fs::read_to_string(&path).map_err(|source| ExperimentError::file(&path, source))?;
    let (mut setting, mut rates) = (None, BTreeMap::<Subject, Vec<f64>>::new());
    for line in text.lines() {
        match serde_json::from_str::<Line<Map<String, Value>>>(line)
            .map_err(|error| ExperimentError::file(&path, error.into()))?
        {
            Line::Experiment(read) => setting = Some(*read),
            Line::Measurement(one) => {
                let one: Measurement<_> = *one;
                rates.entry(Subject::of(&one.subject)).or_default().push(one.rate());
            }
        }
    }
    let setting = setting.filter(|_| !rates.is_empty()).ok_or(ExperimentError::NoResults(path))?;
    Ok(Column { setting, rates })
}
