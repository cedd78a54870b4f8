//! How often progress is told.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Update;

/// The time between two updates of a stage. At most 10 a second are wanted; the
/// tenth more keeps it so where they are counted as they arrive, unevenly.
pub const MIN_INTERVAL: Duration = Duration::from_millis(110);

/// How many changes of stage are told at once in a second: what changes more often names
/// something else.
const CHANGES_MAX: usize = 10;

/// Thins a command's updates: at most one per [`MIN_INTERVAL`], always the newest,
/// nothing twice. The first, the last and a change of stage aren't held back, where there are
/// few of these.
///
/// Owns one update at most, whatever it is offered.
pub struct Throttle {
    stage: Option<String>,
    shown: Option<(Update, Instant)>,
    pending: Option<Update>,
    /// When the newest changes of stage were told at once.
    changes: VecDeque<Instant>,
}

impl Throttle {
    /// A throttle for a command whose updates belong to `stage` until they name another.
    pub fn new(stage: Option<String>) -> Throttle {
        Throttle {
            stage,
            shown: None,
            pending: None,
            changes: VecDeque::new(),
        }
    }

    /// Takes an update, and gives it back with its stage filled in where it is to
    /// be told at once. Otherwise it waits until [`Throttle::due`], if it is new.
    pub fn offer(&mut self, mut update: Update, now: Instant) -> Option<Update> {
        match &update.stage {
            Some(_) => self.stage.clone_from(&update.stage),
            None => update.stage.clone_from(&self.stage),
        }
        self.pending = None;
        let at_once = match &self.shown {
            None => true,
            Some((shown, _)) if *shown == update => return None,
            Some((_, at)) if now >= *at + MIN_INTERVAL => true,
            Some((shown, _)) => shown.stage != update.stage && self.may_change(now),
        };
        if at_once {
            return Some(self.show(update, now));
        }
        self.pending = Some(update);
        None
    }

    /// When the update that waits is to be told, if one does.
    pub fn due(&self) -> Option<Instant> {
        let (_, at) = self.shown.as_ref()?;
        self.pending.as_ref().map(|_| *at + MIN_INTERVAL)
    }

    /// The update that waited, once it is due.
    pub fn take_due(&mut self, now: Instant) -> Option<Update> {
        if self.due()? > now {
            return None;
        }
        self.take_last(now)
    }

    /// The update that waits, due or not: the last of a command that has ended.
    pub fn take_last(&mut self, now: Instant) -> Option<Update> {
        let update = self.pending.take()?;
        Some(self.show(update, now))
    }

    /// The percentage told last, if there was one, for the stage that it is in now.
    pub fn shown_percent(&self) -> Option<f64> {
        self.shown.as_ref().and_then(|(update, _)| update.percent)
    }

    /// Whether one more change of stage may be told at once.
    fn may_change(&mut self, now: Instant) -> bool {
        let is_over = |at: &Instant| now >= *at + Duration::from_secs(1);
        while self.changes.front().is_some_and(is_over) {
            self.changes.pop_front();
        }
        let may_change = self.changes.len() < CHANGES_MAX;
        if may_change {
            self.changes.push_back(now);
        }
        may_change
    }

    fn show(&mut self, update: Update, now: Instant) -> Update {
        self.shown = Some((update.clone(), now));
        update
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percent(percent: f64) -> Update {
        Update::percent(percent)
    }

    fn staged(stage: &str, percent: f64) -> Update {
        Update {
            stage: Some(stage.into()),
            ..Update::percent(percent)
        }
    }

    fn shown(update: Option<Update>) -> Option<f64> {
        update.and_then(|update| update.percent)
    }

    #[test]
    fn a_flood_is_thinned_to_ten_a_second_and_the_newest_is_told() {
        let start = Instant::now();
        let mut throttle = Throttle::new(None);
        let mut told = Vec::new();
        for ms in 0..1000 {
            let now = start + Duration::from_millis(ms);
            told.extend(throttle.take_due(now));
            told.extend(throttle.offer(percent(ms as f64 / 10.0), now));
        }
        told.extend(throttle.take_last(start + Duration::from_secs(1)));
        assert!(told.len() <= 11, "{}", told.len());
        assert_eq!(told.first().unwrap().percent, Some(0.0));
        assert_eq!(told.last().unwrap().percent, Some(99.9));
    }

    #[test]
    fn what_waits_says_when_it_is_due() {
        let start = Instant::now();
        let mut throttle = Throttle::new(None);
        assert_eq!(shown(throttle.offer(percent(1.0), start)), Some(1.0));
        assert_eq!(throttle.due(), None);
        assert_eq!(throttle.offer(percent(2.0), start), None);
        assert_eq!(throttle.offer(percent(3.0), start), None);
        assert_eq!(throttle.due(), Some(start + MIN_INTERVAL));
        assert_eq!(throttle.take_due(start), None);
        assert_eq!(shown(throttle.take_due(start + MIN_INTERVAL)), Some(3.0));
        assert_eq!(throttle.due(), None);
    }

    #[test]
    fn a_change_of_stage_is_told_at_once_and_replaces_what_waited() {
        let now = Instant::now();
        let mut throttle = Throttle::new(Some("scanning".into()));
        assert_eq!(
            throttle.offer(percent(1.0), now),
            Some(staged("scanning", 1.0))
        );
        assert_eq!(throttle.offer(percent(2.0), now), None);
        let changed = throttle.offer(staged("storing", 0.0), now);
        assert_eq!(changed, Some(staged("storing", 0.0)));
        assert_eq!(throttle.due(), None);
        assert_eq!(throttle.offer(percent(5.0), now), None);
        assert_eq!(throttle.take_last(now), Some(staged("storing", 5.0)));
    }

    #[test]
    fn a_flood_of_stages_is_thinned_as_well() {
        let start = Instant::now();
        let mut throttle = Throttle::new(None);
        let mut told = Vec::new();
        for ms in 0..2000 {
            let now = start + Duration::from_millis(ms);
            told.extend(throttle.take_due(now));
            told.extend(throttle.offer(staged(&format!("part {ms}"), 5.0), now));
        }
        told.extend(throttle.take_last(start + Duration::from_secs(2)));
        assert!(told.len() <= 40, "{}", told.len());
        assert_eq!(told.last().unwrap().stage.as_deref(), Some("part 1999"));
    }

    #[test]
    fn nothing_is_told_twice_unless_another_field_changed() {
        let start = Instant::now();
        let later = start + Duration::from_secs(1);
        let mut throttle = Throttle::new(None);
        throttle.offer(percent(1.0), start);
        assert_eq!(throttle.offer(percent(1.0), later), None);
        let mut with_speed = percent(1.0);
        with_speed.extra.insert("speed".into(), 2.into());
        assert_eq!(throttle.offer(with_speed.clone(), later), Some(with_speed));
    }

    #[test]
    fn going_back_to_what_was_told_cancels_what_waited() {
        let now = Instant::now();
        let mut throttle = Throttle::new(None);
        throttle.offer(percent(1.0), now);
        throttle.offer(percent(2.0), now);
        throttle.offer(percent(1.0), now);
        assert_eq!(throttle.take_last(now), None);
    }
}
