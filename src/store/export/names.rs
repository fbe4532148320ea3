//! The paths of a document's export files.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use super::options::ExportFormat;
use crate::{
    model::{Document, DocumentId},
    store::{StoreError, error::Result},
    sys::{LONGEST_FILE_NAME, shortened},
};

/// The path of each document's exports in a format's folder, without extension. Folders are kept. The `.pdf` is
/// removed, unless two documents would then have the same name; upper and lower case count as equal. A name that would
/// be too long for a file system is shortened.
///
/// # Errors
/// A name leads out of the folder.
pub(super) fn file_stems(documents: &[Document]) -> Result<BTreeMap<DocumentId, PathBuf>> {
    let mut uses: BTreeMap<String, u32> = BTreeMap::new();
    for document in documents {
        *uses.entry(without_extension(&document.name).to_lowercase()).or_default() += 1;
    }
    documents
        .iter()
        .map(|document| {
            let name = &document.name;
            let inside = |part: Component<'_>| matches!(part, Component::Normal(_));
            if name.is_empty() || !Path::new(name).components().all(inside) {
                return Err(StoreError::UnsafeName { name: name.clone() });
            }
            let short = without_extension(name);
            let alone = uses.get(&short.to_lowercase()) == Some(&1);
            Ok((document.id, fitting(if alone { short } else { name })))
        })
        .collect()
}

/// The path with names to which the longest ending can be added.
fn fitting(path: &str) -> PathBuf {
    let longest_ending = ExportFormat::ALL.map(|format| ".".len() + format.ending().len()).into_iter().max();
    let most = LONGEST_FILE_NAME - longest_ending.unwrap_or_default();
    path.split('/').map(|name| shortened(name, most)).collect()
}

fn without_extension(name: &str) -> &str {
    let at = name.len().saturating_sub(".pdf".len());
    match name.get(at..) {
        Some(extension) if at > 0 && extension.eq_ignore_ascii_case(".pdf") && !name[..at].ends_with('/') => {
            &name[..at]
        }
        _ => name,
    }
}

/// `stem` with an ending; dots in the stem stay, which `Path::with_extension` would not do.
pub(super) fn with_ending(stem: &Path, ending: &str) -> PathBuf {
    let mut name = stem.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DocumentState, Edition, Language};

    fn documents(names: &[&str]) -> Vec<Document> {
        let document = |(id, name): (usize, &&str)| Document {
            id: DocumentId(id as u32),
            path: PathBuf::from("/in").join(name),
            name: (*name).into(),
            fingerprint: None,
            edition: Edition { number: None, suffix: None, language: Language::Unknown },
            state: DocumentState::Planned { pages: 1, damage: None, embedded: 0 },
        };
        names.iter().enumerate().map(document).collect()
    }

    #[test]
    fn folders_are_kept_and_no_two_documents_share_a_name() {
        let names = ["1998/BO_1.pdf", "1999/BO_1.pdf", "a.pdf", "A.PDF", "v1.2.pdf", ".pdf"];
        let stems: Vec<_> = file_stems(&documents(&names)).unwrap().into_values().collect();
        assert_eq!(stems, ["1998/BO_1", "1999/BO_1", "a.pdf", "A.PDF", "v1.2", ".pdf"].map(PathBuf::from));
        assert_eq!(with_ending(Path::new("v1.2"), "md"), Path::new("v1.2.md"));
    }

    #[test]
    fn a_name_as_long_as_the_file_system_allows_leaves_room_for_every_ending() {
        let long = |letter: &str| format!("fr/{}.pdf", letter.repeat(251));
        let names = [long("x"), long("X"), format!("{}.pdf", "ج".repeat(125)), format!("{}.pdf", "y".repeat(245))];
        let names = names.each_ref().map(String::as_str);
        let stems: Vec<_> = file_stems(&documents(&names)).unwrap().into_values().collect();
        for stem in &stems {
            let name = with_ending(stem.file_name().map(Path::new).unwrap(), "jsonl");
            assert!(name.as_os_str().len() <= LONGEST_FILE_NAME, "{}", name.display());
        }
        assert!(stems[0].starts_with("fr") && stems[0] != stems[1]);
        assert_eq!(stems[3], Path::new(&"y".repeat(245)));
    }

    #[test]
    fn a_name_that_leads_out_of_the_folder_is_refused() {
        for name in ["../x.pdf", "/etc/x.pdf", "a/../../x.pdf", ""] {
            assert!(file_stems(&documents(&[name])).is_err(), "{name}");
        }
    }
}
