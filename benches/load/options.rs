//! The command line.

use std::path::PathBuf;

use lexopt::prelude::*;

use crate::failure::{Result, fail};
use crate::peer::Programs;
use crate::scenario::Scale;

pub const HELP: &str = "\
load: subscribes by the thousand, publishes, and checks every event

load run [options]
  --server NAME,...     landfall, durable-streams, nchan, axum, send-loop (all)
  --scenario NAME,...   idle, broadcast, burst, jobs, storm, restart, single, kept,
                        neighbours, slow, pace, proxy, rest (all)
  --rounds N            every scenario on every server, N times in turn (3)
  --quick               a tenth of everything, to see that it works
  --out FILE            rows are added to it, JSON, one a line (results.jsonl)
  --landfall-bin FILE   (target/release/landfall)
  --landfall-arg ARG    one more argument for it; may be repeated
  --peers-dir DIR       has axum-broadcast and send-loop
                        (target/peers/release)
  --durable-bin FILE    (target/peers-tools/bin/durable-streams-server)
  --nginx-bin FILE      (/usr/sbin/nginx)
  --nchan-module FILE   (/usr/lib/nginx/modules/ngx_nchan_module.so)
  --nginx-workers N     (1: with two, nchan 1.3.6 now and then leaves one
                        worker's subscribers without an event)

load micro --criterion DIR --out FILE
  adds what criterion has measured, as a row

load report --in FILE --dir DIR
  writes results.md and the plots
";

pub enum Command {
    Run(Options),
    Micro { criterion: PathBuf, rows: PathBuf },
    Report { rows: PathBuf, directory: PathBuf },
    Help,
}

pub struct Options {
    pub programs: Programs,
    pub servers: Vec<String>,
    pub scenarios: Vec<String>,
    pub rounds: u32,
    pub scale: Scale,
    pub out: PathBuf,
}

impl Options {
    pub fn wants_server(&self, name: &str) -> bool {
        wants(&self.servers, name)
    }

    pub fn wants_scenario(&self, name: &str) -> bool {
        wants(&self.scenarios, name)
    }
}

/// An empty list wants everything; `durable` is durable-streams for short.
fn wants(list: &[String], name: &str) -> bool {
    list.is_empty() || list.iter().any(|wanted| name.starts_with(wanted.as_str()))
}

pub fn parse() -> Result<Command> {
    let mut parser = lexopt::Parser::from_env();
    let mut options = Options {
        programs: Programs {
            landfall: "target/release/landfall".into(),
            landfall_args: Vec::new(),
            peers: "target/peers/release".into(),
            durable: "target/peers-tools/bin/durable-streams-server".into(),
            nginx: "/usr/sbin/nginx".into(),
            nchan_module: "/usr/lib/nginx/modules/ngx_nchan_module.so".into(),
            nginx_workers: 1,
        },
        servers: Vec::new(),
        scenarios: Vec::new(),
        rounds: 3,
        scale: Scale { quick: false },
        out: "results.jsonl".into(),
    };
    let mut verb = String::new();
    let mut rows = None;
    let mut directory = None;
    let mut criterion = None;
    while let Some(argument) = parser.next()? {
        match argument {
            // cargo bench adds it.
            Long("bench") => {}
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("server") => options.servers.extend(list(&mut parser)?),
            Long("scenario") => options.scenarios.extend(list(&mut parser)?),
            Long("rounds") => options.rounds = parser.value()?.parse()?,
            Long("quick") => options.scale.quick = true,
            Long("out") => options.out = parser.value()?.into(),
            Long("landfall-bin") => options.programs.landfall = parser.value()?.into(),
            Long("landfall-arg") => {
                options
                    .programs
                    .landfall_args
                    .push(parser.value()?.string()?);
            }
            Long("peers-dir") => options.programs.peers = parser.value()?.into(),
            Long("durable-bin") => options.programs.durable = parser.value()?.into(),
            Long("nginx-bin") => options.programs.nginx = parser.value()?.into(),
            Long("nchan-module") => options.programs.nchan_module = parser.value()?.into(),
            Long("nginx-workers") => options.programs.nginx_workers = parser.value()?.parse()?,
            Long("criterion") => criterion = Some(parser.value()?.into()),
            Long("in") => rows = Some(parser.value()?.into()),
            Long("dir") => directory = Some(parser.value()?.into()),
            Value(word) if verb.is_empty() => verb = word.string()?,
            other => return Err(other.unexpected().into()),
        }
    }
    match (verb.as_str(), rows, directory) {
        ("run", ..) => Ok(Command::Run(options)),
        ("micro", ..) => match criterion {
            Some(criterion) => Ok(Command::Micro {
                criterion,
                rows: options.out,
            }),
            None => fail("micro needs --criterion"),
        },
        ("report", Some(rows), Some(directory)) => Ok(Command::Report { rows, directory }),
        ("report", ..) => fail("report needs --in and --dir"),
        ("", ..) => Ok(Command::Help),
        (other, ..) => fail(format!("`{other}` is none of run, micro and report")),
    }
}

fn list(parser: &mut lexopt::Parser) -> Result<Vec<String>> {
    let value = parser.value()?.string()?;
    Ok(value.split(',').map(str::to_owned).collect())
}
