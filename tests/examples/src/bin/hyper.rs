//! Jobs and their streams in a hyper server: `hyper DIR` says where it listens.

use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::{Method, Request, Response, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use landfall::{Event, Follow, JobId, LastEventId, Sequencer, Start, Subscribers};
use serde_json::{Value, json};

type Error = Box<dyn std::error::Error + Send + Sync>;
type Answer = Result<Response<BoxBody<Bytes, std::io::Error>>, Error>;

fn text(status: u16, said: String) -> Answer {
    let body = Full::from(said).map_err(|never| match never {}).boxed();
    Ok(Response::builder().status(status).body(body)?)
}

async fn serve(request: Request<Incoming>, hub: (Sequencer, Subscribers)) -> Answer {
    let path = request.uri().path().strip_prefix("/jobs/");
    let name = path.and_then(|path| path.strip_suffix("/events"));
    let job: JobId = name.ok_or("see /jobs/JOB/events")?.parse()?;
    if request.method() == Method::POST {
        let said: Value = serde_json::from_slice(&request.collect().await?.to_bytes())?;
        let event = Event::of(said["event"].as_str().unwrap_or_default(), &said["data"])?;
        // It waits for the disk.
        let id = tokio::task::spawn_blocking(move || hub.0.publish(&job, event)).await??;
        return text(201, json!({ "id": id }).to_string());
    }
    let last = request.headers().get("last-event-id");
    let last = last.and_then(|last| LastEventId::parse(last.as_bytes()));
    let start = last.map_or(Start::Oldest, Start::After);
    let stream = hub.1.follow(Follow::Jobs(vec![job]), &start)?;
    if stream.has_ended() {
        return text(204, String::new());
    }
    let frames = stream.map(|event| Ok(Frame::data(Bytes::from_owner(event))));
    let response = Response::builder().header("content-type", "text/event-stream");
    Ok(response.body(BodyExt::boxed(StreamBody::new(frames)))?)
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let folder = std::env::args_os().nth(1).expect("hyper DIR");
    let jobs = Sequencer::with_journal(folder.as_ref(), Default::default(), Default::default())?;
    let hub = (jobs.clone(), Subscribers::of(&jobs)?);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    loop {
        let hub = hub.clone();
        let service = service_fn(move |it| {
            let answer = serve(it, hub.clone());
            async { answer.await.or_else(|why| text(400, why.to_string())) }
        });
        let socket = TokioIo::new(listener.accept().await?.0);
        tokio::spawn(http1::Builder::new().serve_connection(socket, service));
    }
}
