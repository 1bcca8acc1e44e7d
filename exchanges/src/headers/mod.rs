//! Headers matching: an index of conditions, so that a message is tested against few bindings.
//!
//! Each distinct condition (header present, or header equal to a value) of the exchange's
//! bindings is one numbered atom. A message's headers are turned into the atoms they make true;
//! from there on matching compares numbers. A binding with `any` stands under each of its atoms
//! and matches as soon as one is true. A binding with `all` stands under one of its atoms, the
//! one shared with fewest others, and is tested only when that one is true. What counts as equal
//! is decided in `value.rs`, what the arguments mean in `rule.rs`.

mod rule;
mod validate;
mod value;

use std::collections::HashMap;

use rustc_hash::FxHashMap;
use slab::Slab;
use smallvec::SmallVec;
use warren_amqp::{TableRef, ValueRef};

use self::rule::{Conditions, Mode};
pub(crate) use self::validate::{binary, term, validate_headers_arguments};
use crate::id_set::IdSet;
use crate::matcher::{Found, Rule};

/// The canonical form of a header's value: equal bytes mean equal values.
pub(crate) fn canonical_header(value: ValueRef<'_>) -> Vec<u8> {
    let mut form = Vec::new();
    value::put_header(&mut form, value);
    form
}

/// The bindings of a headers exchange.
#[derive(Debug, Default)]
pub(crate) struct Headers {
    /// The headers that conditions are about.
    keys: HashMap<Box<[u8]>, Key>,
    key_ids: Slab<()>,
    atoms: Slab<Atom>,
    /// Bindings with `all` and at least one condition, by binding id.
    tests: FxHashMap<u32, Test>,
    /// Targets of bindings with `all` and no condition: they match everything (row X-32).
    always: IdSet,
}

/// A header some condition is about.
#[derive(Debug)]
struct Key {
    id: u32,
    /// The atom for its mere presence.
    present: Option<u32>,
    /// The atoms for its values, by canonical form.
    values: HashMap<Box<[u8]>, u32>,
}

/// A distinct condition.
#[derive(Debug, Default)]
struct Atom {
    /// Conditions of bindings that are this one.
    n_uses: u32,
    /// Targets of `any` bindings that have it.
    any: IdSet,
    /// The `all` bindings to test when it is true.
    tests: IdSet,
}

/// An `all` binding: matches when all its atoms are true.
#[derive(Debug)]
struct Test {
    target: u32,
    /// The atom it stands under.
    pivot: u32,
    atoms: Box<[u32]>,
}

/// A header of a message that conditions are about, and the atoms it makes true.
struct Met {
    key: u32,
    present: Option<u32>,
    equal: Option<u32>,
}

/// The atoms a message makes true, in order.
type TrueAtoms = SmallVec<[u32; 32]>;

impl Headers {
    /// Adds one binding whose arguments are valid.
    pub(crate) fn insert(&mut self, rule: Rule<'_>) {
        let conditions = Conditions::of(rule.arguments);
        let atoms: Box<[u32]> = conditions
            .iter()
            .map(|(key, value)| {
                let atom = self.atom_or_new(key, value);
                self.atoms[atom as usize].n_uses += 1;
                atom
            })
            .collect();
        match conditions.mode {
            Mode::Any => {
                for atom in atoms {
                    self.atoms[atom as usize].any.insert(rule.target);
                }
            }
            Mode::All => self.insert_test(rule, atoms),
        }
    }

    /// Takes one binding away.
    pub(crate) fn remove(&mut self, rule: Rule<'_>) {
        let conditions = Conditions::of(rule.arguments);
        if let Some(test) = self.tests.remove(&rule.binding) {
            self.atoms[test.pivot as usize].tests.remove(rule.binding);
        } else if conditions.mode == Mode::All {
            self.always.remove(rule.target);
        }
        for (key, value) in conditions.iter() {
            let Some(atom) = self.atom(key, value) else {
                continue;
            };
            let entry = &mut self.atoms[atom as usize];
            if conditions.mode == Mode::Any {
                entry.any.remove(rule.target);
            }
            entry.n_uses -= 1;
            if entry.n_uses == 0 {
                self.atoms.remove(atom as usize);
                self.forget(key, value);
            }
        }
    }

    /// Appends the targets of all bindings the headers satisfy.
    pub(crate) fn find(&self, headers: Option<TableRef<'_>>, found: &mut Found) {
        found.extend(self.always.iter());
        let Some(headers) = headers else { return };
        let atoms = self.true_atoms(headers);
        for id in &atoms {
            let atom = &self.atoms[*id as usize];
            found.extend(atom.any.iter());
            for test in atom
                .tests
                .iter()
                .filter_map(|binding| self.tests.get(&binding))
            {
                if test
                    .atoms
                    .iter()
                    .all(|atom| atoms.binary_search(atom).is_ok())
                {
                    found.push(test.target);
                }
            }
        }
    }

    fn insert_test(&mut self, rule: Rule<'_>, atoms: Box<[u32]>) {
        let Some(pivot) = atoms
            .iter()
            .copied()
            .min_by_key(|atom| self.atoms[*atom as usize].tests.len())
        else {
            self.always.insert(rule.target);
            return;
        };
        self.atoms[pivot as usize].tests.insert(rule.binding);
        self.tests.insert(
            rule.binding,
            Test {
                target: rule.target,
                pivot,
                atoms,
            },
        );
    }

    fn true_atoms(&self, headers: TableRef<'_>) -> TrueAtoms {
        let mut met: SmallVec<[Met; 16]> = SmallVec::new();
        let mut form = Vec::new();
        for (name, value) in headers.iter() {
            let Some(key) = self.keys.get(name) else {
                continue;
            };
            let mut equal = None;
            if !key.values.is_empty() {
                form.clear();
                value::put_header(&mut form, value);
                equal = key.values.get(form.as_slice()).copied();
            }
            met.push(Met {
                key: key.id,
                present: key.present,
                equal,
            });
        }
        // Of a header that is there twice the first counts. The sort is stable.
        met.sort_by_key(|met| met.key);
        met.dedup_by_key(|met| met.key);
        let mut atoms: TrueAtoms = met
            .iter()
            .flat_map(|met| [met.present, met.equal])
            .flatten()
            .collect();
        atoms.sort_unstable();
        atoms
    }

    fn atom(&self, key: &str, value: Option<&[u8]>) -> Option<u32> {
        let key = self.keys.get(key.as_bytes())?;
        match value {
            None => key.present,
            Some(value) => key.values.get(value).copied(),
        }
    }

    fn atom_or_new(&mut self, name: &str, value: Option<&[u8]>) -> u32 {
        if let Some(atom) = self.atom(name, value) {
            return atom;
        }
        let atom = self.atoms.insert(Atom::default()) as u32;
        let key_ids = &mut self.key_ids;
        let key = self
            .keys
            .entry(name.as_bytes().into())
            .or_insert_with(|| Key {
                id: key_ids.insert(()) as u32,
                present: None,
                values: HashMap::new(),
            });
        match value {
            None => key.present = Some(atom),
            Some(value) => {
                key.values.insert(value.into(), atom);
            }
        }
        atom
    }

    /// Drops the condition from its header, and the header if that was the last about it.
    fn forget(&mut self, name: &str, value: Option<&[u8]>) {
        let Some(key) = self.keys.get_mut(name.as_bytes()) else {
            return;
        };
        match value {
            None => key.present = None,
            Some(value) => {
                key.values.remove(value);
            }
        }
        if key.present.is_none() && key.values.is_empty() {
            self.key_ids.remove(key.id as usize);
            self.keys.remove(name.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests;
