//! The job that a run publishes to.

use std::time::{Duration, Instant};

use super::mailbox::JobEnding;
use crate::cli::hub::HubSettings;
use crate::cli::output;
use crate::client::{Client, ClientError};
use crate::event::Lease;
use crate::event::job::JobId;

/// How long the command waits for its job to begin anew, at most.
const BEGIN_WAIT: Duration = Duration::from_secs(2);

/// A job that is published to, and whether it has to begin.
pub struct RunTarget {
    /// The hub.
    pub hub: HubSettings,
    /// Speaks to it.
    pub client: Client,
    /// The job's name.
    pub job: JobId,
    /// How long the job may be without a word of this run.
    pub lease: Lease,
    /// It is to begin anew, and has not yet.
    pub is_to_begin: bool,
}

impl RunTarget {
    /// Begins the job anew where that is to be, before the command starts. A hub that is
    /// away is asked again later, and one that refuses is not.
    pub fn begin(&mut self) {
        if !self.is_to_begin {
            return;
        }
        let deadline = Instant::now() + BEGIN_WAIT;
        let lease = Some(self.lease);
        let result = self.client.begin_anew(&self.job, lease, Some(deadline));
        self.is_to_begin = result.as_ref().is_err_and(ClientError::is_temporary);
        if let Err(error) = result
            && !self.is_to_begin
        {
            let why = self.hub.failure(error);
            say(&format!("the job doesn't begin anew: {why}"));
        }
    }

    /// Publishes the end of what has not begun, where the hub takes it by the deadline.
    pub fn publish_once(mut self, ending: &JobEnding, deadline: Instant) {
        let mut begun = Ok(());
        if self.is_to_begin {
            begun = self.client.begin_anew(&self.job, None, Some(deadline));
        }
        let name = ending.event.parse().expect("an event's name");
        let publish = |()| {
            let (client, data) = (&mut self.client, ending.data.get());
            let published = client.publish_by(&self.job, &name, data, Some(deadline));
            published.map(drop)
        };
        warn(&self.hub, ending.event, begun.and_then(publish));
    }
}

/// A failure to publish the end is a warning: what the command did stands.
pub fn warn(hub: &HubSettings, event: &str, result: Result<(), ClientError>) {
    if let Err(error) = result {
        let why = why(hub, error);
        say(&format!("the event `{event}` is not published: {why}"));
    }
}

/// What went wrong, and what of `run`'s own would be right.
pub fn why(hub: &HubSettings, error: ClientError) -> String {
    if let ClientError::Refused { message, .. } = &error
        && let Some((over, _)) = message.split_once(": begin it anew")
    {
        return format!("{over}: --begin begins it anew, and --job gives another name");
    }
    hub.failure(error).to_string()
}

/// Tells the user.
pub fn say(text: &str) {
    output::say(&format!("landfall run: {text}"));
}
