//! Who may do what, tried over real sockets. The tests are named after the attack and the
//! answer it has to get.

mod browser;
mod cancelling;
#[path = "../support/http.rs"]
mod http;
mod oddities;
mod publishing;
mod rights;
mod secrecy;
mod subscribing;
mod support;
