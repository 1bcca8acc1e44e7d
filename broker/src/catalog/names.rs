//! The names of queues from definitions at rest, for tools that look at a data directory.

use std::collections::BTreeMap;

use warren_storage::{DataDir, OpenError, check};

use super::apply::apply;
use super::command::Command;
use super::view::load_with;

/// Vhost and name of every durable queue by its number, as far as the definitions can be read.
/// Changes nothing.
pub fn queue_names(dir: &DataDir) -> Result<BTreeMap<u64, (String, String)>, OpenError> {
    let (entries, commands) = check::read_definitions(dir)?;
    let mut state = load_with(entries, &mut Vec::new()).unwrap_or_default();
    let mut names = BTreeMap::new();
    for (_, bytes) in commands {
        // What does not apply may miss something that is lost; the rest still says its names.
        if let Ok(command) = Command::decode(&bytes) {
            let _ = apply(&mut state, &command);
        }
    }
    let vhosts: Vec<String> = state.vhosts().map(|(name, _)| name.to_owned()).collect();
    for vhost in vhosts {
        for (queue, def) in state.queues(&vhost) {
            names.insert(def.id, (vhost.clone(), queue.to_owned()));
        }
    }
    Ok(names)
}
