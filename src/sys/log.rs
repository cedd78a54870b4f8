//! What is told to the log. The macros of the crate `log` are some 200 bytes of code at each of
//! their places; these are a call.

use std::fmt::Arguments;

use log::{Level, Record};

/// Tells the log of something, on behalf of a module.
#[cold]
#[inline(never)]
pub(crate) fn tell(level: Level, module: &'static str, message: Arguments<'_>) {
    if level > log::STATIC_MAX_LEVEL || level > log::max_level() {
        return;
    }
    let mut record = Record::builder();
    record.level(level).target(module);
    record.module_path_static(Some(module)).args(message);
    log::logger().log(&record.build());
}

macro_rules! error {
    ($($message:tt)+) => {
        $crate::sys::log::tell(::log::Level::Error, module_path!(), format_args!($($message)+))
    };
}

macro_rules! warn {
    ($($message:tt)+) => {
        $crate::sys::log::tell(::log::Level::Warn, module_path!(), format_args!($($message)+))
    };
}

macro_rules! info {
    ($($message:tt)+) => {
        $crate::sys::log::tell(::log::Level::Info, module_path!(), format_args!($($message)+))
    };
}

macro_rules! debug {
    ($($message:tt)+) => {
        $crate::sys::log::tell(::log::Level::Debug, module_path!(), format_args!($($message)+))
    };
}
