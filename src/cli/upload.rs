//! `landfall upload`: files, sent so that what breaks off goes on.

mod journey;
mod memory;
mod view;

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use super::call::{Call, Command};
use super::error::{Failure, Usage, ValuePlace};
use super::hub::HubSettings;
use super::output;
use crate::client::{self, Client};
use crate::event::job::JobId;
use journey::Journey;
use memory::UploadMemory;
use view::UploadView;

/// The command.
pub const COMMAND: Command = Command {
    name: "upload",
    about: "uploads files and prints the names of their jobs",
    usage: &["[FLAGS] FILE..."],
    text: &[
        "For example: landfall upload --job job_8f3a clip.mp4",
        "It sends one file after the other by the tus protocol. After a lost connection it goes \
         on where it was, unless the hub takes nothing for two minutes. If it is interrupted, \
         the same call goes on later, while the hub keeps what it has; $XDG_STATE_HOME, or \
         ~/.local/state, remembers where. As soon as a file is there, its job's name is a line \
         on stdout. In a terminal there is a bar on stderr.",
        "The exit code is 0; 1 if the hub refuses a file (the others are sent) or stays away; 2 \
         if the call is wrong.",
    ],
    runs_another: false,
    main,
};

/// A file that is to be sent.
struct Outgoing<'a> {
    path: &'a str,
    file: File,
    metadata: std::fs::Metadata,
}

fn main(call: Call) -> Result<ExitCode, Failure> {
    let job = call.settings.run.job.as_ref();
    let mut parcels = Vec::new();
    for path in call.texts(usize::MAX)? {
        parcels.push(Outgoing::open(path)?);
    }
    match parcels.len() {
        0 => {
            let what = "no file: name one or more, as landfall upload FILE";
            return Err(Usage::Wrong(what).into());
        }
        2.. if job.is_some() => {
            let what = "--job names one job: give it with one file";
            return Err(Usage::Wrong(what).into());
        }
        _ => {}
    }
    let hub = &call.settings.hub;
    let mut client = hub.client()?;
    let mut code = ExitCode::SUCCESS;
    let mut told = Ok(ExitCode::SUCCESS);
    for mut parcel in parcels {
        match parcel.send(hub, &mut client, job) {
            Ok(name) => told = told.and(output::print(&format!("{name}\n"))),
            Err(Failure::Hub(failure)) if !matches!(failure.error, client::ClientError::Refused { status, .. } if status != 401) =>
            {
                return Err(Failure::Hub(failure));
            }
            Err(failure) => {
                output::say(&format!("landfall upload: {}: {failure}", parcel.path));
                code = ExitCode::FAILURE;
            }
        }
    }
    told.map(|_| code)
}

impl Outgoing<'_> {
    fn open(path: &str) -> Result<Outgoing<'_>, Usage> {
        let wrong = |why: String| Usage::Value {
            place: ValuePlace::Word("FILE"),
            value: path.to_owned(),
            why,
        };
        let failed = |error: io::Error| wrong(error.to_string());
        // Another has no size, and can't be read again from where it broke off. Opened, a pipe
        // would wait for somebody who writes.
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(wrong("not a file: name one that is on a disk".to_owned()));
        }
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        Ok(Outgoing {
            path,
            file,
            metadata,
        })
    }

    fn send(
        &mut self,
        hub: &HubSettings,
        client: &mut Client,
        job: Option<&JobId>,
    ) -> Result<String, Failure> {
        let path = Path::new(self.path);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut metadata = vec![("filename", &*name)];
        metadata.extend(job.map(|job| ("job", job.as_str())));
        let size = self.metadata.len();
        let mut view = UploadView::new(&name, size);
        let mut journey = Journey {
            hub,
            client,
            file: &mut self.file,
            size,
            metadata: &metadata,
            memory: UploadMemory::of(&hub.address, path, &self.metadata, job),
            view: &mut view,
        };
        let sent = journey.travel();
        view.end(sent.is_ok());
        sent
    }
}
