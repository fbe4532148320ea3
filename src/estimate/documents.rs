//! Counts the documents and pages of the inputs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use crate::{
    corpus::{Survey, Surveyed, duplicate_groups},
    model::{DocumentId, DocumentState, Edition, FailureClass, Language},
};

/// A number of documents and of their pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Number of documents.
    pub documents: u64,
    /// Number of their pages.
    pub pages: u64,
}

/// A document that the run would refuse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// The name in the plan.
    pub name: String,
    /// The class of the failure.
    pub class: FailureClass,
    /// The reason and the remedy, for the user.
    pub reason: String,
}

/// The documents of the inputs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Documents {
    /// Documents that can be read, with all their pages.
    pub readable: Tally,
    /// Documents that would be refused.
    pub refused: Vec<Refused>,
    /// What readable documents are known to have lost.
    pub damaged: Vec<String>,
    /// Readable documents with embedded PDFs, whose pages are not counted.
    pub covers: Vec<String>,
    /// Size of all files in bytes.
    pub bytes: u64,
    /// Readable documents by the language in their names.
    pub languages: BTreeMap<&'static str, Tally>,
    /// The lowest and the highest issue number in the names.
    pub issues: Option<(u32, u32)>,
    /// Documents without an issue number in their names.
    pub unnumbered: u64,
    /// Documents by the year that is the name of a folder in their path; other documents are not counted.
    pub years: BTreeMap<u16, u64>,
    /// Groups of documents with the same issue and language in their names.
    pub same_issue: Vec<Vec<String>>,
    /// Groups of documents that are very likely copies of one file.
    pub twins: Vec<Vec<String>>,
    /// Pages that would be read again because of these copies.
    pub twin_pages: u64,
    /// Further paths, by links or overlapping inputs, to files that count once.
    pub repeated: u64,
    /// Documents of the run directory's plan that are no longer in the inputs.
    pub gone: Vec<String>,
    /// Pages that earlier starts in the run directory settled.
    pub settled: u64,
    /// Pages that are still to be read.
    pub left: u64,
}

impl Documents {
    /// Counts a survey; `settled` are the pages of each document that earlier starts settled.
    pub fn count(survey: &Survey, settled: &HashMap<DocumentId, u64>) -> Documents {
        let mut counted = Documents {
            repeated: survey.repeated as u64,
            gone: survey.gone.clone(),
            bytes: survey.documents.iter().map(|document| document.bytes).sum(),
            ..Documents::default()
        };
        for document in &survey.documents {
            match &document.state {
                DocumentState::Refused { class, reason } => {
                    let (name, class, reason) = (document.name.clone(), *class, reason.clone());
                    counted.refused.push(Refused { name, class, reason });
                }
                DocumentState::Planned { .. } | DocumentState::Replaced => counted.add(document, settled),
            }
        }
        counted.same_issue = same_issue(&survey.documents);
        for alike in duplicate_groups(&survey.documents) {
            counted.twin_pages += alike.iter().skip(1).map(|document| u64::from(document.pages())).sum::<u64>();
            counted.twins.push(alike.into_iter().map(|document| document.name.clone()).collect());
        }
        counted
    }

    fn add(&mut self, document: &Surveyed, settled: &HashMap<DocumentId, u64>) {
        if let DocumentState::Planned { damage, embedded, .. } = &document.state {
            self.damaged.extend(damage.as_ref().map(|damage| damage.reason.clone()));
            if *embedded > 0 {
                self.covers.push(format!("{}: {embedded}", document.name));
            }
        }
        let pages = u64::from(document.pages());
        let done = document.planned.and_then(|id| settled.get(&id)).copied().unwrap_or_default().min(pages);
        self.settled += done;
        self.left += pages - done;
        for tally in [&mut self.readable, self.languages.entry(document.edition.language.name()).or_default()] {
            tally.documents += 1;
            tally.pages += pages;
        }
        match document.edition.number {
            None => self.unnumbered += 1,
            Some(number) => {
                let (first, last) = self.issues.unwrap_or((number, number));
                self.issues = Some((first.min(number), last.max(number)));
            }
        }
        if let Some(year) = year(&document.path.to_string_lossy()) {
            *self.years.entry(year).or_default() += 1;
        }
    }
}

/// The year that is the name of the nearest folder of a path. File names have no years. The gazette begins in 1912.
fn year(path: &str) -> Option<u16> {
    let folders = path.rsplit('/').skip(1);
    folders
        .filter(|folder| folder.len() == 4)
        .filter_map(|folder| folder.parse().ok())
        .find(|year| (1912..2100).contains(year))
}

/// Groups of readable documents with the same issue and language in their names.
fn same_issue(documents: &[Surveyed]) -> Vec<Vec<String>> {
    let mut issues: BTreeMap<(u32, Option<&str>, &str), BTreeSet<String>> = BTreeMap::new();
    for document in documents.iter().filter(|document| document.pages() > 0) {
        let Edition { number: Some(number), suffix, language } = &document.edition else { continue };
        if *language != Language::Unknown {
            let issue = (*number, suffix.as_deref(), language.name());
            issues.entry(issue).or_default().insert(document.name.clone());
        }
    }
    issues.into_values().filter(|names| names.len() > 1).map(|names| names.into_iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::edition;

    fn document(name: &str, pages: u32, planned: Option<u32>) -> Surveyed {
        let state = match pages {
            0 => DocumentState::Refused { class: FailureClass::Unreadable, reason: format!("{name}: broken") },
            pages => DocumentState::Planned { pages, damage: None, embedded: 0 },
        };
        let file = name.rsplit('/').next().unwrap();
        let path = format!("/no/such/folder/{name}").into();
        let planned = planned.map(DocumentId);
        Surveyed { path, name: name.into(), edition: edition(file), bytes: 10, state, planned }
    }

    #[test]
    fn what_is_settled_is_not_left_and_what_is_refused_has_no_pages() {
        let documents = vec![
            document("fr/1981/BO_3559_Fr.pdf", 16, Some(0)),
            document("fr/1981/BO_3560_Fr.pdf", 4, Some(1)),
            document("ar/BO_7412_Ar.pdf", 30, None),
            document("ar/BO_7412_Ar_scan.pdf", 30, None),
            document("bad.pdf", 0, None),
        ];
        let survey = Survey { documents, repeated: 2, gone: vec!["x.pdf".into()] };
        let counted = Documents::count(&survey, &HashMap::from([(DocumentId(0), 10), (DocumentId(9), 5)]));
        assert_eq!(counted.readable, Tally { documents: 4, pages: 80 });
        assert_eq!((counted.settled, counted.left), (10, 70));
        assert_eq!(counted.languages["fr"], Tally { documents: 2, pages: 20 });
        assert_eq!(counted.issues, Some((3559, 7412)));
        assert_eq!(counted.years, BTreeMap::from([(1981, 2)]));
        assert_eq!(counted.same_issue, [["ar/BO_7412_Ar.pdf", "ar/BO_7412_Ar_scan.pdf"]]);
        assert_eq!((counted.refused.len(), counted.repeated, counted.bytes), (1, 2, 50));
        assert!(counted.refused[0].reason.contains("broken"));
    }
}
