//! `bulletin-ocr`: reads the Moroccan *Bulletin Officiel* on a GPU cluster in one multi-node job.
//!
//! The rooms, top to bottom; a room depends only on rooms below it:
//!
//! | room | holds |
//! |---|---|
//! | [`cli`] | one file a subcommand |
//! | [`estimate`] | what a run will cost, told before it is submitted |
//! | [`job`] | the PBS job around a run: what it asks for, its script, its way through the queue |
//! | [`launch`] | `bocr run` under mpirun, started again until the run has ended: a pure state machine and its driver |
//! | [`rank`] | the two loops, coordinator and worker, that wire the rest together |
//! | [`comm`] | messages between ranks, their codec, MPI and an in-process transport |
//! | [`simulate`] | a cluster in discrete events that drives the very same `schedule`, and a server that drives `pace` |
//! | [`schedule`] | who works on what: the pure state machine of rank 0 |
//! | [`pace`] | how many requests are kept in flight on a server, and where its time goes |
//! | [`server`] | a vLLM process: launch, ready, watch, restart, stop |
//! | [`engine`] | profiles, requests, streaming client, parsers, judge |
//! | [`imaging`] | PDFium rendering in child processes, encoding |
//! | [`store`] | journal, shard, catalogue, reader, export, verification |
//! | [`corpus`] | discovery, documents, fingerprints, gazette names, the plan |
//! | [`report`] | progress, status file, end report |
//! | [`standin`] | the stand-in server |
//! | [`layout`] | what lies where on a page: ink, columns, turned content, skew, script; pure |
//! | [`process`] | child processes: their environment, commands that answer |
//! | [`model`] | ids, page reference, verdicts, failure classes, records, configuration |

pub mod cli;
pub mod comm;
pub mod corpus;
pub mod engine;
pub mod estimate;
mod files;
pub mod imaging;
pub mod job;
pub mod launch;
pub mod layout;
pub mod model;
pub mod pace;
pub mod process;
pub mod rank;
pub mod report;
pub mod schedule;
pub mod server;
pub mod simulate;
pub mod standin;
pub mod store;
