//! `bulletin-ocr`: reads the Moroccan *Bulletin Officiel* on a GPU cluster in one multi-node job.
//!
//! The rooms, top to bottom; a room depends only on rooms below it:
//!
//! | room | holds |
//! |---|---|
//! | [`model`] | ids, page reference, verdicts, failure classes, records, configuration |

pub mod model;
