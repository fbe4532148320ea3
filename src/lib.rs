//! `bulletin-ocr`: reads the Moroccan *Bulletin Officiel* on a GPU cluster in one multi-node job.
//!
//! The rooms, top to bottom; a room depends only on rooms below it:
//!
//! | room | holds |
//! |---|---|
//! | [`cli`] | one file a subcommand |
//! | [`imaging`] | PDFium rendering in child processes, encoding, the blank test |
//! | [`corpus`] | discovery, documents, fingerprints, gazette names, the plan |
//! | [`process`] | the environment of child processes |
//! | [`model`] | ids, page reference, verdicts, failure classes, records, configuration |

pub mod cli;
pub mod corpus;
pub mod imaging;
pub mod model;
pub mod process;
