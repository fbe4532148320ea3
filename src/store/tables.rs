//! The small tables with text columns: documents, engines, labels, shards.

use std::path::Path;

use hdf5::{Group, H5Type, types::VarLenUnicode};

use super::{
    error::{Context, Result, StoreError},
    hdf::text,
    rows::{DocumentRow, EngineRow},
};
use crate::model::{
    Damage, Document, DocumentId, DocumentState, Edition, EngineName, EngineNames, FailureClass, Fingerprint, Language,
    ParseEngineNameError, ServedBy, ServerKind,
};

/// Writes a whole table in one piece: it is small, and HDF5 does not compress variable-length text.
pub(super) fn write<T: H5Type>(parent: &Group, name: &str, rows: &[T], path: &Path) -> Result<()> {
    let dataset = parent.new_dataset::<T>().packed(true).shape((rows.len(),)).create(name);
    dataset.and_then(|dataset| dataset.write_raw(rows)).doing("write a table of", path)
}

pub(super) fn read<T: H5Type>(parent: &Group, name: &str, path: &Path) -> Result<Vec<T>> {
    parent.dataset(name).and_then(|dataset| dataset.read_raw()).doing("read a table of", path)
}

pub(super) fn write_labels(parent: &Group, labels: &[String], path: &Path) -> Result<()> {
    let labels = labels.iter().map(|label| text(label)).collect::<Result<Vec<_>>>()?;
    write(parent, "labels", &labels, path)
}

pub(super) fn read_labels(parent: &Group, path: &Path) -> Result<Vec<String>> {
    Ok(read::<VarLenUnicode>(parent, "labels", path)?.iter().map(|label| label.as_str().to_owned()).collect())
}

/// Writes the names of the run's engines, in the order of the stages.
pub(super) fn write_stages(parent: &Group, names: &EngineNames, path: &Path) -> Result<()> {
    let names = names.names().iter().map(|name| text(name.as_str())).collect::<Result<Vec<_>>>()?;
    write(parent, "stages", &names, path)
}

pub(super) fn read_stages(parent: &Group, path: &Path) -> Result<EngineNames> {
    let rows = read::<VarLenUnicode>(parent, "stages", path)?;
    let names = rows.iter().map(|name| engine_name(name, path)).collect::<Result<Vec<_>>>()?;
    EngineNames::new(names).map_err(|error| StoreError::damaged(path, error.to_string()))
}

fn engine_name(name: &VarLenUnicode, path: &Path) -> Result<EngineName> {
    name.as_str().parse().map_err(|error: ParseEngineNameError| StoreError::damaged(path, error.to_string()))
}

pub(super) fn write_engines(parent: &Group, engines: &[ServedBy], path: &Path) -> Result<()> {
    let row = |served_by: &ServedBy| {
        let ServedBy { engine, server, profile, model, version, dialect, prompt_sha256, request } = served_by;
        Ok(EngineRow {
            engine: text(engine.as_str())?,
            server: *server as u8,
            profile: text(profile)?,
            model: text(model)?,
            version: text(version)?,
            dialect: text(dialect)?,
            prompt_sha256: text(prompt_sha256)?,
            request: text(request)?,
        })
    };
    write(parent, "engines", &engines.iter().map(row).collect::<Result<Vec<_>>>()?, path)
}

pub(super) fn read_engines(parent: &Group, path: &Path) -> Result<Vec<ServedBy>> {
    let served_by = |row: &EngineRow| {
        let unknown = || StoreError::damaged(path, format!("unknown server {}", row.server));
        Ok(ServedBy {
            engine: engine_name(&row.engine, path)?,
            server: ServerKind::from_code(row.server).ok_or_else(unknown)?,
            profile: row.profile.as_str().into(),
            model: row.model.as_str().into(),
            version: row.version.as_str().into(),
            dialect: row.dialect.as_str().into(),
            prompt_sha256: row.prompt_sha256.as_str().into(),
            request: row.request.as_str().into(),
        })
    };
    read::<EngineRow>(parent, "engines", path)?.iter().map(served_by).collect()
}

pub(super) fn write_documents<'a>(
    parent: &Group,
    documents: impl IntoIterator<Item = &'a Document>,
    path: &Path,
) -> Result<()> {
    let rows = documents.into_iter().map(document_row).collect::<Result<Vec<_>>>()?;
    write(parent, "documents", &rows, path)
}

pub(super) fn read_documents(parent: &Group, path: &Path) -> Result<Vec<Document>> {
    read::<DocumentRow>(parent, "documents", path)?.iter().map(|row| document(row, path)).collect()
}

fn document_row(document: &Document) -> Result<DocumentRow> {
    let Document { id, path, name, fingerprint, edition, state } = document;
    let not_utf8 =
        || StoreError::Encode { what: "a document's path", reason: format!("{} is not valid UTF-8", path.display()) };
    let (class, reason) = match state {
        DocumentState::Planned { damage: None, .. } => (0, ""),
        DocumentState::Planned { damage: Some(damage), .. } if damage.pages_missing => {
            (FailureClass::Unreadable as u8, damage.reason.as_str())
        }
        DocumentState::Planned { damage: Some(damage), .. } => (0, damage.reason.as_str()),
        DocumentState::Refused { class, reason } => (*class as u8, reason.as_str()),
        DocumentState::Replaced => (FailureClass::Changed as u8, ""),
    };
    Ok(DocumentRow {
        id: id.0,
        pages: document.pages(),
        class,
        language: edition.language as u8,
        number: edition.number.map_or(-1, i64::from),
        bytes: fingerprint.as_ref().map_or(-1, |fingerprint| fingerprint.bytes as i64),
        name: text(name)?,
        path: text(path.to_str().ok_or_else(not_utf8)?)?,
        sha256: text(fingerprint.as_ref().map_or("", |fingerprint| &fingerprint.sha256))?,
        suffix: text(edition.suffix.as_deref().unwrap_or_default())?,
        reason: text(reason)?,
    })
}

fn document(row: &DocumentRow, path: &Path) -> Result<Document> {
    let damaged = || StoreError::damaged(path, format!("unknown code in document {}", row.id));
    let state = match row.class {
        class if class == 0 || row.pages > 0 => {
            let reason = row.reason.as_str();
            let damage = || Damage { reason: reason.into(), pages_missing: class != 0 };
            DocumentState::Planned { pages: row.pages, damage: (!reason.is_empty()).then(damage), embedded: 0 }
        }
        // A refused document has a reason.
        code if code == FailureClass::Changed as u8 && row.reason.is_empty() => DocumentState::Replaced,
        code => DocumentState::Refused {
            class: FailureClass::from_code(code).ok_or_else(damaged)?,
            reason: row.reason.as_str().into(),
        },
    };
    let fingerprint =
        u64::try_from(row.bytes).ok().map(|bytes| Fingerprint { bytes, sha256: row.sha256.as_str().into() });
    Ok(Document {
        id: DocumentId(row.id),
        path: row.path.as_str().into(),
        name: row.name.as_str().into(),
        fingerprint,
        edition: Edition {
            number: u32::try_from(row.number).ok(),
            suffix: Some(row.suffix.as_str()).filter(|suffix| !suffix.is_empty()).map(str::to_owned),
            language: Language::from_code(row.language).ok_or_else(damaged)?,
        },
        state,
    })
}
