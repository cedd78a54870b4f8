//! A proxy on the same host: what a delivery costs behind it, by TCP and by a unix socket.

use super::{Scale, own_cpu};
use crate::clients::Clients;
use crate::failure::Result;
use crate::field::Field;
use crate::measured::Measured;
use crate::peer::{Peer, Setup, Way};

pub fn run(peer: &dyn Peer, scale: Scale) -> Result<Measured> {
    let mut measured = Measured::default();
    for (name, way) in [("tcp", Way::Tcp), ("unix", Way::Unix)] {
        phase(peer, scale, name, way, &mut measured)?;
    }
    Ok(measured)
}

fn phase(
    peer: &dyn Peer,
    scale: Scale,
    name: &str,
    way: Way,
    measured: &mut Measured,
) -> Result<()> {
    let subscribers = scale.of(5_000, 500);
    let events = scale.of(50, 10);
    let (server, proxy) = peer.start_behind(&Setup::default(), way)?;
    let mut field = Field {
        peer,
        clients: Clients::new()?,
        server,
        next: 0,
    };
    field.server.public = proxy.public;
    field.subscribe(subscribers)?;
    for _ in 0..2 {
        field.burst(1, subscribers)?;
    }
    field.server.settle();
    let (server, before, own) = (field.server.cpu(), proxy.cpu(), own_cpu());
    let mut walls: Vec<u64> = Vec::new();
    for _ in 0..events {
        walls.push(field.burst(1, subscribers)?);
    }
    let own = own_cpu() - own;
    field.server.settle();
    walls.sort_unstable();
    let each = |ns: u64| ns as f64 / 1e3 / (subscribers * events) as f64;
    measured
        .set(
            format!("cpu_us_{name}"),
            each((field.server.cpu() - server).total_ns),
        )
        .set(
            format!("proxy_us_{name}"),
            each((proxy.cpu() - before).total_ns),
        )
        .set(format!("generator_us_{name}"), each(own.total_ns))
        .set(
            format!("wall_ms_{name}"),
            walls[walls.len() / 2] as f64 / 1e6,
        )
        .set_faults(&field.clients.totals);
    Ok(())
}
