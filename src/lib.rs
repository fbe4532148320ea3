//! `bulletin-ocr`: reads the Moroccan *Bulletin Officiel* on a GPU cluster in one multi-node job.
//!
//! The rooms, top to bottom; a room depends only on rooms below it:
//!
//! | room | holds |
//! |---|---|
//! | [`cli`] | one file a subcommand |
//! | [`comm`] | messages between ranks, their codec, MPI and an in-process transport |
//! | [`schedule`] | who works on what: the pure state machine of rank 0 |
//! | [`simulate`] | a cluster in discrete events that drives the very same `schedule` |
//! | [`report`] | progress, status file, end report |
//! | [`model`] | ids, page reference, verdicts, failure classes, records, configuration |

pub mod cli;
pub mod comm;
pub mod model;
pub mod report;
pub mod schedule;
pub mod simulate;
