//! Jobs and their streams in an axum server: `axum DIR` says where it listens.

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::StreamExt;
use landfall::{Event, Follow, HubConfig, JournalConfig, LastEventId, Start};
use landfall::{Sequencer, Subscribers};
use serde_json::{Value, json};

type Hub = State<(Sequencer, Subscribers)>;
type Answer = Result<Response, (StatusCode, String)>;

fn bad(error: impl ToString) -> (StatusCode, String) {
    (StatusCode::BAD_REQUEST, error.to_string())
}

async fn follow(State((_, subscribers)): Hub, job: Path<String>, head: HeaderMap) -> Answer {
    let job = job.parse().map_err(bad)?;
    let last = head.get("last-event-id");
    let last = last.and_then(|last| LastEventId::parse(last.as_bytes()));
    let start = last.map_or(Start::Oldest, Start::After);
    let stream = subscribers.follow(Follow::Jobs(vec![job]), &start);
    let stream = stream.map_err(bad)?;
    if stream.has_ended() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let frames = stream.map(|event| Ok::<_, std::io::Error>(Bytes::from_owner(event)));
    let body = Body::from_stream(frames);
    Ok(([("content-type", "text/event-stream")], body).into_response())
}

async fn publish(State((jobs, _)): Hub, job: Path<String>, said: Json<Value>) -> Answer {
    let job = job.parse().map_err(bad)?;
    let name = said["event"].as_str().unwrap_or_default();
    let event = Event::of(name, &said["data"]).map_err(bad)?;
    // It waits for the disk.
    let published = tokio::task::spawn_blocking(move || jobs.publish(&job, event));
    let id = published.await.map_err(bad)?;
    let id = id.map_err(|why| (StatusCode::CONFLICT, why.to_string()))?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))).into_response())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).expect("axum DIR");
    let config = JournalConfig::default();
    let jobs = Sequencer::with_journal(folder.as_ref(), config, HubConfig::default())?;
    let subscribers = Subscribers::of(&jobs)?;
    let routes = Router::new().route("/jobs/{job}/events", get(follow).post(publish));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    axum::serve(listener, routes.with_state((jobs, subscribers))).await?;
    Ok(())
}
