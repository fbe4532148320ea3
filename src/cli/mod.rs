//! The command line: one file for each subcommand, no logic.

mod experiment;
mod export;
mod follow;
mod guard;
mod imaging;
mod launch;
mod node;
mod page;
mod plan;
mod profiles;
mod render_child;
mod report;
mod run;
mod simulate;
mod stand_in;
mod submit;
mod verify;

use clap::{Parser, Subcommand};

use crate::sys::{ExitCode, PROGRAM_VERSION, write_stderr};

/// Reads the Moroccan Bulletin Officiel on a GPU cluster, in one multi-node job.
#[derive(Debug, Parser)]
#[command(name = "bocr", version = PROGRAM_VERSION, max_term_width = 110)]
pub struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read every page of the inputs into the run directory (the main job; alone or under mpirun)
    Run(Box<run::Arguments>),
    /// Start `bocr run` under mpirun, and again without lost hosts, until the run has ended (scripts/launch calls it)
    Launch(Box<launch::Arguments>),
    /// Estimate what a run will find and cost, and what to ask PBS for
    Plan(Box<plan::Arguments>),
    /// Simulate a run on a described cluster: what it takes, and where the time goes
    Simulate(Box<simulate::Arguments>),
    /// Measure how runs scale, inside one allocation
    Experiment(experiment::Arguments),
    /// Show results of experiments side by side
    Report(report::Arguments),
    /// Submit a job file to PBS: the main job on the nodes of a cluster
    Submit(submit::Arguments),
    /// Show the state of the jobs of a run, until the last has ended
    Follow(follow::Arguments),
    /// Write the images that a server would get of a page, and a picture of the decisions about it
    Page(Box<page::Arguments>),
    /// Write Markdown, HTML and JSONL from a run directory
    Export(export::Arguments),
    /// Count every page of a run directory again from its files, and check them
    Verify(verify::Arguments),
    /// Show the engine profiles and the sources of their values
    Profiles(profiles::Arguments),
    /// Serve vLLM's API without a GPU or a model
    StandIn(Box<stand_in::Arguments>),
    #[command(hide = true)]
    RenderChild(render_child::Arguments),
    #[command(hide = true)]
    Guard(guard::Arguments),
    #[command(hide = true)]
    Node(node::Arguments),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    let result = match &command_line.command {
        Command::Run(arguments) => run::run(arguments),
        Command::Launch(arguments) => launch::run(arguments),
        Command::Plan(arguments) => plan::run(arguments),
        Command::Simulate(arguments) => simulate::run(arguments),
        Command::Experiment(arguments) => experiment::run(arguments),
        Command::Report(arguments) => report::run(arguments),
        Command::Submit(arguments) => submit::run(arguments),
        Command::Follow(arguments) => follow::run(arguments),
        Command::Page(arguments) => page::run(arguments),
        Command::Export(arguments) => export::run(arguments),
        Command::Verify(arguments) => verify::run(arguments),
        Command::Profiles(arguments) => profiles::run(arguments),
        Command::StandIn(arguments) => stand_in::run(arguments),
        Command::RenderChild(arguments) => render_child::run(arguments),
        Command::Guard(arguments) => guard::run(arguments),
        Command::Node(arguments) => node::run(arguments),
    };
    result.unwrap_or_else(|error| {
        write_stderr(&format!("bocr: {error:#}\n"));
        ExitCode::Failure
    })
}
