#![no_main]

use std::sync::OnceLock;

#[path = "../properties/mod.rs"]
mod properties;

use properties::connection::Servers;

static SERVERS: OnceLock<Servers> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|input: &[u8]| SERVERS.get_or_init(Servers::start).check(input));
