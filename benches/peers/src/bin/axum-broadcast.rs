//! The server one writes in an afternoon: axum 0.8, a tokio broadcast channel
//! and a small ring of replay per job.
//!
//! Usage: `axum-broadcast [EVENTS]`, the events kept per job (default 256).

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

#[derive(Clone)]
struct Published {
    id: u64,
    event: Arc<str>,
    data: Arc<str>,
}

impl Published {
    fn frame(&self) -> Event {
        Event::default()
            .event(&*self.event)
            .id(self.id.to_string())
            .data(&*self.data)
    }
}

struct Ring {
    last_id: u64,
    kept: VecDeque<Published>,
}

struct Job {
    ring: Mutex<Ring>,
    live: broadcast::Sender<Published>,
}

struct Hub {
    capacity_events: usize,
    jobs: Mutex<HashMap<String, Arc<Job>>>,
}

impl Hub {
    fn job(&self, name: &str) -> Arc<Job> {
        let mut jobs = self.jobs.lock().unwrap();
        if let Some(job) = jobs.get(name) {
            return job.clone();
        }
        let job = Arc::new(Job {
            ring: Mutex::new(Ring {
                last_id: 0,
                kept: VecDeque::new(),
            }),
            live: broadcast::channel(self.capacity_events).0,
        });
        jobs.insert(name.to_owned(), job.clone());
        job
    }
}

#[derive(Deserialize)]
struct Publish {
    event: String,
    data: Box<RawValue>,
}

async fn publish(
    State(hub): State<Arc<Hub>>,
    Path(name): Path<String>,
    Json(body): Json<Publish>,
) -> impl IntoResponse {
    let job = hub.job(&name);
    let mut ring = job.ring.lock().unwrap();
    ring.last_id += 1;
    let published = Published {
        id: ring.last_id,
        event: body.event.into(),
        data: body.data.get().into(),
    };
    if ring.kept.len() == hub.capacity_events {
        ring.kept.pop_front();
    }
    ring.kept.push_back(published.clone());
    // Sent under the lock, so that a subscriber's replay and its live part meet
    // without a hole. An error only says that nobody listens.
    let id = published.id;
    let _ = job.live.send(published);
    (StatusCode::CREATED, Json(serde_json::json!({ "id": id })))
}

async fn subscribe(
    State(hub): State<Arc<Hub>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let after: Option<u64> = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse().ok());
    let job = hub.job(&name);
    let (replay, live) = {
        let ring = job.ring.lock().unwrap();
        let replay: Vec<Published> = match after {
            None => Vec::new(),
            Some(after) => ring.kept.iter().filter(|p| p.id > after).cloned().collect(),
        };
        (replay, job.live.subscribe())
    };
    let live = BroadcastStream::new(live).map(|received| match received {
        Ok(published) => published.frame(),
        Err(_) => Event::default().event("reset").data("{}"),
    });
    let replay = stream::iter(replay).map(|published| published.frame());
    Sse::new(replay.chain(live).map(Ok)).keep_alive(KeepAlive::default())
}

async fn snapshot(State(hub): State<Arc<Hub>>, Path(name): Path<String>) -> impl IntoResponse {
    let job = hub.job(&name);
    let last = job.ring.lock().unwrap().kept.back().cloned();
    match last {
        None => (StatusCode::NOT_FOUND, Json(serde_json::json!({}))),
        Some(last) => {
            let data: Box<RawValue> = RawValue::from_string(last.data.to_string()).unwrap();
            let body = serde_json::json!({
                "jobId": name,
                "lastEventId": last.id.to_string(),
                "lastEvent": { "event": &*last.event, "data": data },
            });
            (StatusCode::OK, Json(body))
        }
    }
}

#[tokio::main]
async fn main() {
    let capacity_events = std::env::args().nth(1).map_or(256, |n| n.parse().unwrap());
    let hub = Arc::new(Hub {
        capacity_events,
        jobs: Mutex::default(),
    });
    let app = Router::new()
        .route("/api/jobs/{job}/events", post(publish).get(subscribe))
        .route("/api/jobs/{job}", get(snapshot))
        .with_state(hub);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    println!("public http://{address}\npublish http://{address}\nready");
    axum::serve(listener, app).await.unwrap();
}
