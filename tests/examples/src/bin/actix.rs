//! Jobs and their streams in an actix-web server: `actix DIR` says where it listens.

use actix_web::error::{ErrorBadRequest, ErrorConflict, ErrorInternalServerError};
use actix_web::web::{Bytes, Data, Json, Path, block, resource};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, Result};
use futures_util::StreamExt;
use landfall::{Event, Follow, HubConfig, JournalConfig, LastEventId, Start};
use landfall::{Sequencer, Subscribers};
use serde_json::{Value, json};

type Answer = Result<HttpResponse>;

async fn follow(hub: Data<Subscribers>, job: Path<String>, asked: HttpRequest) -> Answer {
    let job = job.parse().map_err(ErrorBadRequest)?;
    let last = asked.headers().get("last-event-id");
    let last = last.and_then(|last| LastEventId::parse(last.as_bytes()));
    let start = last.map_or(Start::Oldest, Start::After);
    let stream = hub.follow(Follow::Jobs(vec![job]), &start);
    let stream = stream.map_err(ErrorBadRequest)?;
    if stream.has_ended() {
        return Ok(HttpResponse::NoContent().finish());
    }
    let frames = stream.map(|event| Ok::<_, std::io::Error>(Bytes::from_owner(event)));
    let mut answer = HttpResponse::Ok();
    Ok(answer.content_type("text/event-stream").streaming(frames))
}

async fn publish(jobs: Data<Sequencer>, job: Path<String>, said: Json<Value>) -> Answer {
    let job = job.parse().map_err(ErrorBadRequest)?;
    let name = said["event"].as_str().unwrap_or_default();
    let event = Event::of(name, &said["data"]).map_err(ErrorBadRequest)?;
    // It waits for the disk.
    let published = block(move || jobs.publish(&job, event)).await;
    let id = published
        .map_err(ErrorInternalServerError)?
        .map_err(ErrorConflict)?;
    Ok(HttpResponse::Created().json(json!({ "id": id })))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).expect("actix DIR");
    let config = JournalConfig::default();
    let jobs = Sequencer::with_journal(folder.as_ref(), config, HubConfig::default())?;
    let hub = (Data::new(jobs.clone()), Data::new(Subscribers::of(&jobs)?));
    let server = HttpServer::new(move || {
        let events = resource("/jobs/{job}/events").get(follow).post(publish);
        App::new()
            .app_data(hub.0.clone())
            .app_data(hub.1.clone())
            .service(events)
    });
    let server = server.bind("127.0.0.1:0")?;
    println!("{}", server.addrs()[0]);
    Ok(actix_web::rt::System::new().block_on(async { server.run().await })?)
}
