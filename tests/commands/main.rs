//! The commands as a person uses them: the real binary, on real sockets and pipes.

mod bars;
mod calls;
mod cancelling;
mod check;
mod completions;
mod guides;
mod help;
#[path = "../support/http.rs"]
mod http;
mod hub;
mod jobs;
mod logs;
mod process;
mod programs;
mod publish;
mod reload;
mod run;
mod served;
mod terminal;
mod tmux;
mod upload;
mod watch;
