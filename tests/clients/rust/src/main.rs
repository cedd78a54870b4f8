//! Follows a stream by one of the clients, and prints each event's id when it has come.

use eventsource_client::{Client, ClientBuilder, SSE};
use futures_util::StreamExt;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments[1].as_str() {
        "reqwest" => reqwest(&arguments[2]).await,
        "eventsource-client" => eventsource(&arguments[2]).await,
        other => panic!("there is no client {other}"),
    }
}

async fn reqwest(url: &str) {
    let answer = reqwest::get(url).await.unwrap();
    let mut pieces = answer.bytes_stream();
    let mut text = String::new();
    while let Some(piece) = pieces.next().await {
        text += std::str::from_utf8(&piece.unwrap()).unwrap();
        while let Some((frame, rest)) = text.split_once("\n\n") {
            println!("{}", frame.rsplit_once("\nid: ").unwrap().1);
            text = rest.to_owned();
        }
    }
}

async fn eventsource(url: &str) {
    let client = ClientBuilder::for_url(url).unwrap().build_http();
    let mut events = client.stream();
    while let Some(event) = events.next().await {
        if let Ok(SSE::Event(event)) = event {
            println!("{}", event.id.unwrap());
            if event.event_type == "done" {
                return;
            }
        }
    }
}
