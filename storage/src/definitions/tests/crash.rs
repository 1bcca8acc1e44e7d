//! Whenever the power fails: every command that was durable is there, in order, and what the
//! view says makes no difference.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Command {
        key: u8,
        value: Option<u8>,
        tell: bool,
    },
    /// Tells the view of the commands it was not told of.
    Tell,
    Sync,
    PowerOff {
        after: u8,
    },
    Crash {
        dice: u64,
        view: Fate,
    },
    Kill {
        view: Fate,
    },
    Reopen {
        view: Fate,
    },
}

/// What becomes of the view while the log is closed.
#[derive(Clone, Debug)]
enum Fate {
    Stays,
    Lost,
    /// Back to an earlier state.
    Behind(u8),
    /// Of commands the log does not know.
    Ahead,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        3 => Just(Fate::Stays),
        2 => Just(Fate::Lost),
        2 => any::<u8>().prop_map(Fate::Behind),
        1 => Just(Fate::Ahead),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0u8..12, any::<Option<u8>>(), prop::bool::weighted(0.8))
            .prop_map(|(key, value, tell)| Step::Command { key, value, tell }),
        2 => Just(Step::Tell),
        4 => Just(Step::Sync),
        2 => (0u8..12).prop_map(|after| Step::PowerOff { after }),
        2 => (any::<u64>(), fate()).prop_map(|(dice, view)| Step::Crash { dice, view }),
        1 => fate().prop_map(|view| Step::Kill { view }),
        1 => fate().prop_map(|view| Step::Reopen { view }),
    ]
}

struct World {
    disk: MemDisk,
    view: TestView,
    catalog: Option<Catalog>,
    /// All commands since the beginning; the first has index 1.
    commands: Vec<Vec<u8>>,
    /// Commands the view was not told of.
    untold: Vec<u64>,
}

impl World {
    fn new() -> Self {
        let (disk, view) = (MemDisk::new(), TestView::default());
        let catalog = Some(open(&disk, &view, 300));
        Self {
            disk,
            view,
            catalog,
            commands: Vec::new(),
            untold: Vec::new(),
        }
    }

    /// False if the log has failed.
    fn run(&mut self, step: &Step) -> bool {
        let catalog = self.catalog.as_mut().unwrap();
        match step {
            Step::Command { key, value, tell } => {
                let mut command = format!("key {key}").into_bytes();
                if let Some(value) = value {
                    command.push(b'=');
                    command.extend(std::iter::repeat_n(*value, usize::from(*value) / 2));
                }
                let Ok(index) = catalog.run(&command) else {
                    return false;
                };
                self.commands.push(command.clone());
                if *tell && self.untold.is_empty() {
                    catalog.log.view_changed(index, ops(&command));
                } else {
                    self.untold.push(index);
                }
            }
            Step::Tell => {
                for index in self.untold.drain(..) {
                    let command = &self.commands[index as usize - 1];
                    catalog.log.view_changed(index, ops(command));
                }
            }
            Step::Sync => return catalog.log.wait_durable(catalog.last).is_ok(),
            Step::PowerOff { after } => self.disk.power_off_after(usize::from(*after)),
            Step::Crash { .. } | Step::Kill { .. } | Step::Reopen { .. } => self.restart(step),
        }
        true
    }

    fn restart(&mut self, how: &Step) {
        let catalog = self.catalog.take().unwrap();
        let fate = match how {
            Step::Reopen { view } => {
                if catalog.log.close().is_err() {
                    self.disk.crash(&mut |_| 0);
                }
                view
            }
            Step::Kill { view } => {
                self.disk.power_off_after(0);
                let _ = catalog.log.close();
                self.disk.kill();
                view
            }
            Step::Crash { dice, view } => {
                self.disk.power_off_after(0);
                let _ = catalog.log.close();
                let mut state = *dice | 1;
                self.disk.crash(&mut |n| {
                    state = crate::framing::record::mix(state);
                    (state % n as u64) as usize
                });
                view
            }
            other => panic!("{other:?}"),
        };
        let durable = catalog.log.durable_index();
        drop(catalog);
        self.disk.power_off_after(usize::MAX / 2);
        self.meddle(fate);
        let catalog = open(&self.disk, &self.view, 300);
        self.check(durable, &catalog);
        self.commands.truncate(catalog.last as usize);
        self.untold.clear();
        self.catalog = Some(catalog);
    }

    fn meddle(&mut self, fate: &Fate) {
        match fate {
            Fate::Stays => {}
            Fate::Lost => self.view.set(None),
            Fate::Behind(pick) => {
                let before = self.view.before.lock();
                if !before.is_empty() {
                    self.view
                        .set(Some(before[usize::from(*pick) % before.len()].clone()));
                }
            }
            Fate::Ahead => {
                let entries = [(b"from".to_vec(), b"elsewhere".to_vec())].into();
                let applied = self.commands.len() as u64 + 1;
                self.view.set(Some(Kept { entries, applied }));
            }
        }
        // What the view was before is only a view of this log as far as the log is still there.
        self.view.before.lock().clear();
    }

    fn check(&self, durable: u64, catalog: &Catalog) {
        let opened = &catalog.opened;
        assert_eq!(opened.damaged, Vec::<String>::new());
        assert!(
            (durable..=self.commands.len() as u64).contains(&catalog.last),
            "{durable}"
        );
        let mut next = opened.base_index;
        for (index, command) in &opened.tail {
            next += 1;
            assert_eq!((*index, command), (next, &self.commands[next as usize - 1]));
        }
        let mut state = State::new();
        self.commands[..catalog.last as usize]
            .iter()
            .for_each(|c| apply(&mut state, c));
        assert_eq!(catalog.state, state);
        assert_eq!(catalog.log.durable_index(), catalog.last);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_definitions_keep_their_promise(
        steps in prop::collection::vec(step(), 1..120),
        dice: u64,
        view in fate(),
    ) {
        let mut world = World::new();
        for step in &steps {
            if !world.run(step) {
                world.restart(&Step::Crash { dice, view: view.clone() });
            }
        }
        world.restart(&Step::Crash { dice, view });
    }
}

/// The power fails at every single call, snapshots and clearing up included, and the view is
/// lost with it.
#[test]
fn a_crash_at_any_call_loses_no_durable_command() {
    for (n, keep_unsynced) in (0..).flat_map(|n| [(n, false), (n, true)]) {
        let (disk, view) = (MemDisk::new(), TestView::default());
        let mut catalog = open(&disk, &view, 300);
        disk.power_off_after(n);
        let commands: Vec<_> = (0..30).map(|i| format!("key {}={i:0>20}", i % 5)).collect();
        let done = commands
            .iter()
            .all(|c| catalog.run_through(c.as_bytes()).is_ok());
        let closed = catalog.log.close().is_ok();
        let durable = catalog.log.durable_index();
        disk.crash(&mut |n| if keep_unsynced { n - 1 } else { 0 });
        view.set(None);
        let catalog = open(&disk, &view, 300);
        assert!(
            catalog.last >= durable,
            "{n}: {} of {durable}",
            catalog.last
        );
        let mut state = State::new();
        let there = &commands[..catalog.last as usize];
        there.iter().for_each(|c| apply(&mut state, c.as_bytes()));
        assert_eq!(catalog.state, state, "{n}");
        assert_eq!(catalog.opened.damaged, Vec::<String>::new(), "{n}");
        if done && closed && n > 300 {
            assert!(!snapshots(&disk).is_empty());
            return;
        }
    }
}
