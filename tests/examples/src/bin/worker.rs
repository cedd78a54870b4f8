//! A worker of a server that runs elsewhere: `worker HUB JOB` says how far it is, and what the
//! numbers of its events are.

use landfall::{Client, Event};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(hub), Some(job)) = (words.next(), words.next()) else {
        return Err("worker HUB JOB, as worker 127.0.0.1:8081 job_8f3a".into());
    };
    let mut hub = Client::new(hub.parse()?);
    let job = job.parse()?;
    for percent in [25, 50, 75] {
        let event = Event::progress("resizing", percent.into())?;
        println!("{}", hub.publish(&job, &event)?);
    }
    println!("{}", hub.publish(&job, &Event::done())?);
    Ok(())
}
