//! One event to many subscribers: what a delivery costs the server.

use super::{Scale, own_cpu};
use crate::failure::Result;
use crate::field::Field;
use crate::measured::Measured;
use crate::peer::{Peer, Setup};

pub fn run(peer: &dyn Peer, scale: Scale) -> Result<Measured> {
    let subscribers = scale.of(15_000, 1_500);
    let events = scale.of(20, 10);
    let mut field = Field::new(peer, &Setup::default())?;
    field.subscribe(subscribers)?;
    for _ in 0..2 {
        field.burst(1, subscribers)?;
    }
    field.server.settle();
    let (server, own) = (field.server.cpu(), own_cpu());
    let mut walls: Vec<u64> = Vec::new();
    for _ in 0..events {
        walls.push(field.burst(1, subscribers)?);
    }
    let own = own_cpu() - own;
    field.server.settle();
    let deliveries = (subscribers * events) as f64;
    walls.sort_unstable();
    let mut measured = Measured::default();
    measured
        .set_cpu(field.server.cpu() - server, own, deliveries)
        .set("wall_ms", walls[walls.len() / 2] as f64 / 1e6)
        .set_faults(&field.clients.totals);
    Ok(measured)
}
