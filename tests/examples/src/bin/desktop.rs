//! A program with a window, as Tauri's are, and without any listener: it works, and its window
//! shows what there is to be shown.

use std::thread;
use std::time::Duration;

use landfall::{Event, Follow, HubConfig, Sequencer, Start, Subscribers};

/// The window: what the page would get by `window.emit("job", frame)`.
fn emit(name: &str, data: &str) {
    println!("{name} {data}");
}

/// What a command of the page begins.
fn convert(jobs: &Sequencer, file: &str) -> Result<(), Box<dyn std::error::Error>> {
    let job = file.parse()?;
    for percent in [0, 50, 100] {
        thread::sleep(Duration::from_millis(1));
        jobs.publish(&job, Event::progress("converting", percent.into())?)?;
    }
    jobs.publish(&job, Event::done())?;
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let jobs = Sequencer::in_memory(HubConfig::default());
    let subscribers = Subscribers::of(&jobs)?;
    let files = ["cats.mov", "dogs.mov"];
    let names = files.iter().map(|name| name.parse());
    let names = names.collect::<Result<_, _>>()?;
    let mut stream = subscribers.follow(Follow::Jobs(names), &Start::Oldest)?;
    let window = thread::spawn(move || {
        for event in stream.events() {
            emit(event.name(), event.data());
        }
    });
    for file in files {
        convert(&jobs, file)?;
    }
    // Its stream ends with the last of its jobs.
    window.join().expect("the window is shown");
    Ok(())
}
