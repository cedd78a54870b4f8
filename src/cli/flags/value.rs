//! What the values of flags are read into.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use log::LevelFilter;

use crate::access::cors::Allowed;
use crate::access::credential::CookieName;
use crate::access::host::HostName;
use crate::access::network::Block;
use crate::cli::logging::LogFormat;
use crate::event::Lease;
use crate::http::{Address, BasePath};
use crate::sequencer::journal::SyncPolicy;
use crate::sequencer::{FleetName, NodeUrl, RedisUrl};
use crate::sys::units::{self, UnitError};

/// What a quantity is of.
#[derive(Clone, Copy, Debug)]
pub enum Unit {
    Count,
    /// Bytes.
    Size,
    /// Nanoseconds.
    Duration,
}

/// A setting that is a number of something, or nothing where it can be off.
pub trait Quantity {
    fn get(&self) -> Option<u64>;
    /// Sets it, to what is no more than it can be.
    fn put(&mut self, number: Option<u64>);
    fn most(&self) -> u64;
    fn can_be_off(&self) -> bool {
        false
    }
}

/// A setting that is read from a text.
pub trait TextSetting {
    /// Sets it, or says why not.
    fn put(&mut self, text: &str) -> Result<(), String>;
}

/// A setting that is read from texts with commas between them.
pub trait ListSetting {
    /// Sets it, or says why not.
    fn put(&mut self, text: &str) -> Result<(), String>;
}

/// What is read by its own rules.
pub trait One: FromStr<Err: Display> {}

impl Unit {
    pub fn name(self) -> &'static str {
        match self {
            Unit::Count => "N",
            Unit::Size => "SIZE",
            Unit::Duration => "DUR",
        }
    }

    pub fn read(self, text: &str) -> Option<u64> {
        match self {
            Unit::Count => text.parse().ok(),
            Unit::Size => units::size(text).ok(),
            Unit::Duration => units::duration(text).ok().map(|it| it.as_nanos() as u64),
        }
    }

    /// The number as it would be given.
    pub fn show(self, number: Option<u64>) -> String {
        match (number, self) {
            (None, _) => "off".to_owned(),
            (Some(number), Unit::Count) => number.to_string(),
            (Some(bytes), Unit::Size) => units::show_size(bytes),
            (Some(ns), Unit::Duration) => units::show_duration(Duration::from_nanos(ns)),
        }
    }

    /// What a text that it can't be read from is not, and what would be right.
    pub fn rule(self) -> String {
        match self {
            Unit::Count => "not a whole number: use one above 0".to_owned(),
            Unit::Size => UnitError::NotASize.to_string(),
            Unit::Duration => UnitError::NotADuration.to_string(),
        }
    }
}

pub fn switch(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("neither on nor off: use true or false".to_owned()),
    }
}

macro_rules! quantity {
    ($($number:ty),*) => {$(
        impl Quantity for $number {
            fn get(&self) -> Option<u64> {
                Some(*self as u64)
            }

            fn put(&mut self, number: Option<u64>) {
                *self = number.map_or(<$number>::MAX, |number| number as $number);
            }

            fn most(&self) -> u64 {
                <$number>::MAX as u64
            }
        }
    )*};
}

quantity!(u16, u32, u64, usize);

impl Quantity for Duration {
    fn get(&self) -> Option<u64> {
        Some(self.as_nanos().min(u64::MAX.into()) as u64)
    }

    fn put(&mut self, number: Option<u64>) {
        *self = Duration::from_nanos(number.unwrap_or(u64::MAX));
    }

    fn most(&self) -> u64 {
        u64::MAX
    }
}

/// Its flag lets nothing through that is no lease.
impl Quantity for Option<Lease> {
    fn get(&self) -> Option<u64> {
        self.and_then(|lease| lease.duration().get())
    }

    fn put(&mut self, number: Option<u64>) {
        *self = number.and_then(|number| Lease::new(Duration::from_nanos(number)));
    }

    fn most(&self) -> u64 {
        u64::MAX
    }

    fn can_be_off(&self) -> bool {
        true
    }
}

impl<Q: Quantity + Default> Quantity for Option<Q> {
    fn get(&self) -> Option<u64> {
        self.as_ref().and_then(Quantity::get)
    }

    fn put(&mut self, number: Option<u64>) {
        *self = number.map(|number| {
            let mut quantity = Q::default();
            quantity.put(Some(number));
            quantity
        });
    }

    fn most(&self) -> u64 {
        Q::default().most()
    }

    fn can_be_off(&self) -> bool {
        true
    }
}

impl One for String {}
impl One for PathBuf {}
impl One for Address {}
impl One for CookieName {}
impl One for Allowed {}
impl One for HostName {}
impl One for Block {}
impl One for BasePath {}
impl One for FleetName {}
impl One for NodeUrl {}
impl One for RedisUrl {}

impl<T: One> TextSetting for T {
    fn put(&mut self, text: &str) -> Result<(), String> {
        *self = text.parse().map_err(|error: T::Err| error.to_string())?;
        Ok(())
    }
}

impl<T: One> TextSetting for Option<T> {
    fn put(&mut self, text: &str) -> Result<(), String> {
        *self = Some(text.parse().map_err(|error: T::Err| error.to_string())?);
        Ok(())
    }
}

impl TextSetting for SyncPolicy {
    fn put(&mut self, text: &str) -> Result<(), String> {
        let interval = |text| Unit::Duration.read(text).filter(|ns| *ns > 0);
        *self = match text.split_once('=') {
            None if text == "always" => SyncPolicy::Always,
            Some(("interval", text)) => match interval(text) {
                Some(ns) => SyncPolicy::Interval(Duration::from_nanos(ns)),
                None => return Err(Unit::Duration.rule()),
            },
            _ => return Err("not a way to sync: use always or interval=200ms".to_owned()),
        };
        Ok(())
    }
}

impl TextSetting for Option<LevelFilter> {
    fn put(&mut self, text: &str) -> Result<(), String> {
        *self = match text {
            "error" | "warn" | "info" | "debug" | "off" => text.parse().ok(),
            _ => return Err("not a level: use error, warn, info, debug or off".to_owned()),
        };
        Ok(())
    }
}

impl TextSetting for LogFormat {
    fn put(&mut self, text: &str) -> Result<(), String> {
        *self = match text {
            "text" => LogFormat::Text,
            "json" => LogFormat::Json,
            _ => return Err("not a format: use text or json".to_owned()),
        };
        Ok(())
    }
}

impl<T: One> ListSetting for Vec<T> {
    fn put(&mut self, text: &str) -> Result<(), String> {
        let parts = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        let read = parts.map(|part| part.parse().map_err(|error: T::Err| error.to_string()));
        *self = read.collect::<Result<_, _>>()?;
        Ok(())
    }
}
