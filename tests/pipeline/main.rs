//! The pipeline, driven without HTTP: real files, real commands, a real clamd and ffmpeg.

mod clamd;
mod commands;
mod disk;
mod journeys;
mod stages;
mod support;
