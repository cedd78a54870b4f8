//! The load generator: `load run` measures, `load micro` takes over what criterion has
//! measured, `load report` writes the tables.
//!
//! One process, one epoll thread that is every subscriber, and a thread or two
//! that publish. See `scripts/bench`, which builds and starts everything.

mod clients;
mod clock;
mod failure;
mod field;
mod head;
mod histogram;
mod http;
mod measured;
mod micro;
mod options;
mod peer;
mod pipeline;
mod procfs;
mod report;
mod results;
mod scenario;
mod sequence;
mod server;
mod totals;

use std::process::ExitCode;

use failure::Result;
use options::{Command, Options};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn main() -> ExitCode {
    let options = match options::parse() {
        Ok(Command::Run(options)) => options,
        Ok(Command::Micro { criterion, rows }) => {
            let row = results::Row::new("micro", "landfall", micro::read(&criterion));
            return ended(results::append(&rows, &row));
        }
        Ok(Command::Report { rows, directory }) => {
            return ended(results::read(&rows).and_then(|r| report::write(&r, &directory)));
        }
        Ok(Command::Help) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(failure) => {
            eprintln!("load: {failure}\n\n{}", options::HELP);
            return ExitCode::from(2);
        }
    };
    ended(run(&options))
}

fn ended(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("load: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Every scenario against every server in turn, and that as often as asked.
fn run(options: &Options) -> Result<()> {
    server::stop_on_signals()?;
    raise_file_limit();
    clock::now_ns();
    let peers = peer::all(&options.programs);
    for round in 1..=options.rounds {
        for scenario in &scenario::ALL {
            if !options.wants_scenario(scenario.name) {
                continue;
            }
            for peer in &peers {
                // Nothing else is started on a socket that is kept for it.
                let is_its_own = scenario.name != "restart" || peer.name() == "landfall";
                if !options.wants_server(peer.name()) || !is_its_own {
                    continue;
                }
                let row = match peer.cannot(scenario.name) {
                    Some(reason) => results::Row::impossible(scenario.name, peer.name(), reason),
                    None => {
                        let measured = (scenario.run)(peer.as_ref(), options.scale);
                        results::Row::new(scenario.name, peer.name(), measured)
                    }
                };
                let row = row.in_round(round, options.scale.quick);
                eprintln!("{row}");
                results::append(&options.out, &row)?;
            }
        }
    }
    Ok(())
}

/// As many open files as the system lets this process, and its children, have.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    );
}
