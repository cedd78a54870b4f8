//! What strangers send, and what it can't do to the box: the real binary, the real ffmpeg, and
//! strace to see what is opened.

#[path = "../support/binary.rs"]
mod binary;
mod crafted;
mod ending;
mod faulty;
mod files;
#[path = "../support/http.rs"]
mod http;
mod kernel;
mod neighbours;
mod trace;
