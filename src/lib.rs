//! `bulletin-ocr`: reads the Moroccan *Bulletin Officiel* on a GPU cluster in one multi-node job.
//!
//! The rooms, top to bottom; a room depends only on rooms below it:
//!
//! | room | holds |
//! |---|---|
//! | [`cli`] | one file a subcommand |
//! | [`standin`] | the stand-in server: vLLM's API without a GPU or a model |
//! | [`model`] | ids, page reference, verdicts, failure classes, records, configuration |

pub mod cli;
pub mod model;
pub mod standin;
