//! Many events in a row, one request each, to many subscribers.

use super::{Scale, own_cpu};
use crate::failure::Result;
use crate::field::Field;
use crate::measured::Measured;
use crate::peer::{Peer, Setup};

pub fn run(peer: &dyn Peer, scale: Scale) -> Result<Measured> {
    let subscribers = scale.of(2_000, 500);
    let events = scale.of(500, 200);
    let repeats = 5;
    let mut field = Field::new(peer, &Setup::default())?;
    field.subscribe(subscribers)?;
    field.burst(20, subscribers)?;
    field.server.settle();
    let deliveries = f64::from(events) * subscribers as f64;
    let (server, own) = (field.server.cpu(), own_cpu());
    let reads = field.clients.totals.reads;
    let mut rates: Vec<f64> = Vec::new();
    for _ in 0..repeats {
        rates.push(deliveries / (field.burst(events, subscribers)? as f64 / 1e9));
    }
    let own = own_cpu() - own;
    field.server.settle();
    rates.sort_by(f64::total_cmp);
    let all = deliveries * repeats as f64;
    let reads = (field.clients.totals.reads - reads) as f64;
    let mut measured = Measured::default();
    measured
        .set_cpu(field.server.cpu() - server, own, all)
        .set("deliveries_per_s", rates[rates.len() / 2])
        .set("events_per_read", all / reads)
        .set_faults(&field.clients.totals);
    Ok(measured)
}
