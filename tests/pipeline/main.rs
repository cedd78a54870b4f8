//! The pipeline, driven without HTTP: real files, real commands, a real clamd and ffmpeg.

#[path = "../support/binary.rs"]
mod binary;
mod cages;
mod clamd;
mod commands;
mod disk;
mod house;
#[path = "../support/http.rs"]
mod http;
mod journeys;
mod lives;
#[cfg(feature = "s3")]
mod s3;
mod stages;
mod support;
mod whole;
