//! Places of which there is a number for all clients, and a share for each, so that none takes
//! them all.
//!
//! A client is counted by its address and by its token, each for itself: whoever has many of the
//! one has a share of the other. What is counted here is bounded by the places that there are,
//! so it is counted exactly, other than in the tables of [`quota`](super::quota).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use parking_lot::Mutex;

use super::network::Network;

/// Who has something, as far as that can be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupant {
    /// Its address. None where many clients are behind it.
    pub network: Option<Network>,
    /// The fingerprint of its token. None where it has none.
    pub token: Option<u64>,
}

/// Places of one kind.
#[derive(Debug, Default)]
pub struct Places {
    taken: Mutex<Taken>,
}

/// One of them, taken for as long as it lives.
#[derive(Debug)]
pub struct Place {
    of: Arc<Places>,
    client: Occupant,
}

/// Why there is none to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// All are taken.
    All,
    /// The client has its share.
    Share,
}

#[derive(Debug, Default)]
struct Taken {
    /// How many there are, and how many one client may have.
    most: (usize, usize),
    all: usize,
    by: HashMap<CountedBy, usize>,
}

/// What a client is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CountedBy {
    /// Its address.
    Network(Network),
    /// Its token.
    Token(u64),
}

impl Occupant {
    /// What it is counted by, each for itself.
    pub fn keys(self) -> impl Iterator<Item = CountedBy> {
        let network = self.network.map(CountedBy::Network);
        network.into_iter().chain(self.token.map(CountedBy::Token))
    }

    /// Reads it, as it is kept beside an upload.
    ///
    /// # Errors
    /// It is something else.
    #[cfg(feature = "uploads")]
    pub(crate) fn of_json(mut json: crate::event::json::Object) -> std::io::Result<Occupant> {
        let address = json.text("address")?.map(|address| address.parse());
        let address = address.transpose();
        let address = address.map_err(|_| crate::event::json::wrong("address", "isn't one"))?;
        Ok(Occupant {
            network: address.map(Network::kept),
            token: json.number("token")?,
        })
    }

    /// It as it is kept; null where nothing is known of it.
    #[cfg(feature = "uploads")]
    pub(crate) fn to_json(self) -> serde_json::Value {
        if self.is_nobody() {
            return serde_json::Value::Null;
        }
        let address = self.network.map(|network| network.to_string());
        crate::event::json::object(&mut [("address", address.into()), ("token", self.token.into())])
    }

    /// Whether nothing is known of it.
    pub fn is_nobody(&self) -> bool {
        *self == Occupant::default()
    }

    /// Whether it has its address or its token in common with another.
    pub fn is_counted_with(&self, other: &Occupant) -> bool {
        let is_same_address = self.network.is_some() && self.network == other.network;
        is_same_address || self.token.is_some() && self.token == other.token
    }
}

impl Places {
    /// `all` of them, of which one address, and one token, may have `each`; where that is none,
    /// as many as there are.
    pub fn new(all: usize, each: Option<u16>) -> Arc<Places> {
        let places = Places::default();
        places.limit(all, each);
        Arc::new(places)
    }

    /// As many from now on. Whoever has one keeps it.
    pub fn limit(&self, all: usize, each: Option<u16>) {
        self.taken.lock().most = (all, each.map_or(usize::MAX, usize::from));
    }

    /// One for a client.
    ///
    /// # Errors
    /// There is none for it.
    pub fn take(self: &Arc<Self>, client: Occupant) -> Result<Place, Full> {
        let mut taken = self.taken.lock();
        let (all, each) = taken.most;
        let has_its_share = |key| taken.by.get(&key).is_some_and(|&has| has >= each);
        if client.keys().any(has_its_share) {
            return Err(Full::Share);
        }
        if taken.all >= all {
            return Err(Full::All);
        }
        Ok(self.count(&mut taken, client))
    }

    /// One that somebody has already, whatever the number is.
    pub fn keep(self: &Arc<Self>, client: Occupant) -> Place {
        self.count(&mut self.taken.lock(), client)
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.taken.lock().all
    }

    fn count(self: &Arc<Self>, taken: &mut Taken, client: Occupant) -> Place {
        taken.all += 1;
        client
            .keys()
            .for_each(|key| *taken.by.entry(key).or_default() += 1);
        Place {
            of: self.clone(),
            client,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.of.taken.lock();
        taken.all -= 1;
        for key in self.client.keys() {
            if let Entry::Occupied(mut has) = taken.by.entry(key) {
                *has.get_mut() -= 1;
                if *has.get() == 0 {
                    has.remove();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: Option<[u8; 4]>, token: Option<u64>) -> Occupant {
        Occupant {
            network: address.map(|address| Network::of(address.into())),
            token,
        }
    }

    #[test]
    fn a_client_has_its_share_and_leaves_the_rest_to_others() {
        let places = Places::new(4, Some(2));
        let (a, b) = (
            client(Some([10, 0, 0, 1]), None),
            client(Some([10, 0, 0, 2]), None),
        );
        let first = places.take(a).unwrap();
        let _second = places.take(a).unwrap();
        assert_eq!(places.take(a).unwrap_err(), Full::Share);
        let _third = places.take(b).unwrap();
        let _fourth = places.take(Occupant::default()).unwrap();
        assert_eq!(places.take(b).unwrap_err(), Full::All);
        drop(first);
        assert_eq!(places.taken(), 3);
        let _again = places.take(a).unwrap();
        let _over = places.keep(a);
        assert_eq!(places.taken(), 5);
    }

    #[test]
    fn who_has_many_addresses_has_a_share_by_its_token_and_the_other_way_round() {
        let places = Places::new(100, Some(2));
        let one_token: Vec<_> = (0..3)
            .map(|n| places.take(client(Some([10, 0, 0, n]), Some(7))))
            .collect();
        assert_eq!(one_token[2].as_ref().unwrap_err(), &Full::Share);
        let one_address: Vec<_> = (0..3)
            .map(|n| places.take(client(Some([10, 0, 0, 9]), Some(n))))
            .collect();
        assert_eq!(one_address[2].as_ref().unwrap_err(), &Full::Share);
        // Nobody is told from whom nothing is known.
        assert!((0..50).all(|_| places.take(Occupant::default()).is_ok()));
    }

    #[test]
    fn there_may_be_more_or_fewer_while_some_are_taken() {
        let places = Places::new(1, None);
        let nobody = Occupant::default();
        let _one = places.take(nobody).unwrap();
        assert_eq!(places.take(nobody).unwrap_err(), Full::All);
        places.limit(2, Some(1));
        let two = places.take(client(None, Some(1))).unwrap();
        places.limit(1, Some(1));
        assert_eq!(places.taken(), 2, "who has one keeps it");
        drop(two);
        assert_eq!(places.take(nobody).unwrap_err(), Full::All);
    }

    #[test]
    fn nothing_is_left_of_who_has_none_any_more() {
        let places = Places::new(100, None);
        let all: Vec<_> = (0..100)
            .map(|n| places.take(client(Some([10, 0, 0, n]), Some(n.into()))))
            .collect();
        assert!(all.iter().all(Result::is_ok));
        drop(all);
        let taken = places.taken.lock();
        assert!(taken.all == 0 && taken.by.is_empty());
    }
}
