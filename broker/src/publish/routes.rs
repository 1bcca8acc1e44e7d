//! The routes of a batch: each once, as long as they come in turn, so that what a route costs is
//! paid per batch and not per message.

use std::ops::Index;
use std::sync::Arc;

use super::slots::Slots;
use crate::route::Route;

/// The routes of a batch.
#[derive(Default)]
pub(super) struct Routes {
    list: Vec<Arc<Route>>,
    /// The slots of their targets, route after route, and where those of each end.
    slots: Vec<u32>,
    ends: Vec<usize>,
}

impl Routes {
    pub(super) fn clear(&mut self) {
        self.list.clear();
    }

    /// Number of this route, which is added when it is not found.
    pub(super) fn of(&mut self, route: &Arc<Route>) -> u32 {
        let place = route.place();
        let there = self.list.get(place as usize);
        if there.is_some_and(|known| Arc::ptr_eq(known, route)) {
            return place;
        }
        let number = self.list.len() as u32;
        route.set_place(number);
        self.list.push(Arc::clone(route));
        number
    }

    /// Makes a slot for every target queue.
    pub(super) fn find_slots(&mut self, slots: &mut Slots) {
        self.slots.clear();
        self.ends.clear();
        for route in &self.list {
            let targets = route.targets().iter();
            self.slots
                .extend(targets.map(|queue| slots.of(queue) as u32));
            self.ends.push(self.slots.len());
        }
    }

    /// The slots of this route's targets.
    pub(super) fn slots(&self, number: u32) -> &[u32] {
        let number = number as usize;
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.slots[start..self.ends[number]]
    }
}

impl Index<u32> for Routes {
    type Output = Arc<Route>;

    fn index(&self, number: u32) -> &Arc<Route> {
        &self.list[number as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Found;

    #[test]
    fn a_route_that_comes_again_has_its_number() {
        let [a, b] = [0, 1].map(|_| Arc::new(Route::found(Found::default())));
        let (mut one, mut other) = (Routes::default(), Routes::default());
        assert_eq!((one.of(&a), one.of(&b), one.of(&a)), (0, 1, 0));
        // Another batch has it elsewhere: the first one takes it in again.
        assert_eq!((other.of(&b), one.of(&b)), (0, 2));
        assert!(Arc::ptr_eq(&one[1], &one[2]));
        one.clear();
        assert_eq!(one.of(&b), 0);
    }
}
