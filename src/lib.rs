//! `bulletin-ocr`: reads the Moroccan *Bulletin Officiel* on a GPU cluster in one multi-node job.
//!
//! The modules, top to bottom; a module depends only on modules below it:
//!
//! | module | holds |
//! |---|---|
//! | [`cli`] | one file a subcommand |
//! | [`estimate`] | what a run will cost, before it is submitted |
//! | [`pbs`] | the PBS job around a run: what it asks for, its script, its way through the queue |
//! | [`launch`] | `bocr run` under mpirun, started again until the run has ended: a pure state machine and its driver |
//! | [`experiment`] | many runs on servers that start once: scaling |
//! | [`run`] | rank 0: prepares a run, deals its pages, concludes it |
//! | [`worker`] | every rank: pages come in, records go to the disk, verdicts go out |
//! | [`comm`] | messages between ranks, their codec, MPI and an in-process transport |
//! | [`report`] | progress, status file, end report |
//! | [`simulate`] | a cluster in discrete events that drives the very same `schedule` and `retry`, and a server that drives `concurrency` |
//! | [`schedule`] | who works on what: the pure state machine of rank 0 |
//! | [`retry`] | what follows an attempt; pure, used by the worker and the simulator |
//! | [`concurrency`] | how many requests are kept in flight on a server, and where its time goes |
//! | [`server`] | a vLLM process: launch, ready, watch, restart, stop |
//! | [`node`] | what a node needs first: GPUs, staging, model files, caches, private folders |
//! | [`engine`] | profiles, requests, streaming client, parsers, judge |
//! | [`imaging`] | PDFium rendering in child processes |
//! | [`store`] | journal, shard, catalogue, reader, export, verification |
//! | [`corpus`] | discovery, documents, fingerprints, gazette names, the plan |
//! | [`standin`] | the stand-in server |
//! | [`tesseract`] | Tesseract as a child process |
//! | [`model`] | ids, page reference, verdicts, failure classes, records, configuration |
//! | [`sys`] | child processes, file locks and names, `/proc`, host name, exit codes, random bytes, text for terminals |
//!
//! Below all of them are two packages, both pure, which development builds optimise: [`page_image`], layout analysis of a
//! page and the changes of its image; and [`gpu_model`], a model of a GPU under continuous batching.

// These macros panic on a closed pipe, and print control characters: `sys::write_stdout` and `write_stderr` do not.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod cli;
pub mod comm;
pub mod concurrency;
pub mod corpus;
pub mod engine;
pub mod estimate;
pub mod experiment;
pub mod imaging;
pub mod launch;
pub mod model;
pub mod node;
pub mod pbs;
pub mod report;
pub mod retry;
pub mod run;
pub mod schedule;
pub mod server;
pub mod simulate;
pub mod standin;
pub mod store;
pub mod sys;
pub mod tesseract;
pub mod worker;
