//! `bulletin-ocr`: reads the Moroccan *Bulletin Officiel* on a GPU cluster in one multi-node job.
//!
//! The rooms, top to bottom; a room depends only on rooms below it:
//!
//! | room | holds |
//! |---|---|
//! | [`cli`] | one file a subcommand |
//! | [`engine`] | profiles, requests, the streaming client, the judge, parsers |
//! | [`model`] | ids, page reference, verdicts, failure classes, records, configuration |

pub mod cli;
pub mod engine;
pub mod model;
