//! What every new vhost begins with, as the configuration has it: limits, operator policies and
//! who may use it (rows U-6 and U-25).

use crate::auth::{PasswordRules, matches_pattern};
use crate::catalog::{Catalog, CatalogError, Command, PolicyDef, State, VhostLimit};

/// See the module documentation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VhostDefaults {
    /// Limits; of those that match a vhost's name, the first counts.
    pub limits: Vec<DefaultLimits>,
    /// Operator policies; all that match count.
    pub policies: Vec<DefaultPolicy>,
    /// Users and their permissions; all that match count.
    pub users: Vec<DefaultAccess>,
    /// The type of queues declared without one where the vhost does not say; none for classic.
    pub queue_type: Option<String>,
}

/// Limits of new vhosts. Negative values mean none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultLimits {
    /// Searched in the vhost's name; a regular expression.
    pub vhosts: String,
    /// `max-connections`.
    pub max_connections: Option<i64>,
    /// `max-queues`.
    pub max_queues: Option<i64>,
}

/// An operator policy of new vhosts.
#[derive(Clone, Debug, PartialEq)]
pub struct DefaultPolicy {
    /// Its name.
    pub name: String,
    /// Searched in the vhost's name; a regular expression.
    pub vhosts: String,
    /// The policy.
    pub policy: PolicyDef,
}

/// Who may use new vhosts.
#[derive(Clone, PartialEq, Eq)]
pub struct DefaultAccess {
    /// The user's name.
    pub name: String,
    /// Searched in the vhost's name; a regular expression.
    pub vhosts: String,
    /// The password of a user who has to be created.
    pub password: Option<String>,
    /// The tags of a user who has to be created.
    pub tags: Vec<String>,
    /// What the user may configure there.
    pub configure: String,
    /// What the user may write to there.
    pub write: String,
    /// What the user may read from there.
    pub read: String,
}

/// Without the password.
impl std::fmt::Debug for DefaultAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DefaultAccess")
            .field("name", &self.name)
            .field("vhosts", &self.vhosts)
            .finish_non_exhaustive()
    }
}

impl VhostDefaults {
    /// The commands that give a vhost what it has not been given otherwise in `state`.
    ///
    /// Errors: a password that cannot be used.
    pub fn commands(
        &self,
        vhost: &str,
        state: &State,
        passwords: &PasswordRules,
    ) -> Result<Vec<Command>, String> {
        let mut commands = Vec::new();
        self.add_limits(vhost, state, &mut commands);
        for default in &self.policies {
            let known = state.policy(vhost, &default.name, true).is_some();
            if !known && matches_pattern(&default.vhosts, vhost) {
                commands.push(Command::SetPolicy {
                    vhost: vhost.to_owned(),
                    name: default.name.clone(),
                    operator: true,
                    policy: default.policy.clone(),
                });
            }
        }
        for user in &self.users {
            if state.permission(&user.name, vhost).is_some()
                || !matches_pattern(&user.vhosts, vhost)
            {
                continue;
            }
            if state.user(&user.name).is_none() {
                commands.push(user.create(passwords)?);
            }
            commands.push(Command::SetPermission {
                user: user.name.clone(),
                vhost: vhost.to_owned(),
                configure: user.configure.clone(),
                write: user.write.clone(),
                read: user.read.clone(),
            });
        }
        Ok(commands)
    }

    fn add_limits(&self, vhost: &str, state: &State, commands: &mut Vec<Command>) {
        let mut all = self.limits.iter();
        let Some(limits) = all.find(|limits| matches_pattern(&limits.vhosts, vhost)) else {
            return;
        };
        let set = [
            (VhostLimit::MaxConnections, limits.max_connections),
            (VhostLimit::MaxQueues, limits.max_queues),
        ];
        for (limit, value) in set {
            let known = state.vhost(vhost);
            let known = known.is_some_and(|def| def.limits.contains_key(&limit));
            if value.is_some() && !known {
                commands.push(Command::SetVhostLimit {
                    vhost: vhost.to_owned(),
                    limit,
                    value,
                });
            }
        }
    }

    /// Gives these vhosts what they begin with, in a catalog that nothing runs on yet, and waits
    /// until it is on disk.
    ///
    /// Errors: what [`VhostDefaults::commands`] or the catalog says.
    pub fn give(
        &self,
        catalog: &Catalog,
        vhosts: &[String],
        passwords: &PasswordRules,
    ) -> Result<(), String> {
        for vhost in vhosts {
            let commands = self.commands(vhost, &catalog.read(), passwords)?;
            if commands.is_empty() {
                continue;
            }
            let text = |error: CatalogError| error.to_string();
            let given = catalog.propose(Command::Batch(commands)).map_err(text)?;
            let durable = catalog.wait_durable(given.index);
            durable.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

impl DefaultAccess {
    fn create(&self, passwords: &PasswordRules) -> Result<Command, String> {
        let (password_hash, hashing_algorithm) = match &self.password {
            Some(password) => passwords
                .store(password)
                .map_err(|why| format!("default_users.{}.password: {why}", self.name))?,
            None => (String::new(), passwords.hashing),
        };
        Ok(Command::PutUser {
            name: self.name.clone(),
            password_hash,
            hashing_algorithm,
            tags: self.tags.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::testing::catalog_with;

    fn defaults() -> VhostDefaults {
        let limits = |vhosts: &str, max_queues| DefaultLimits {
            vhosts: vhosts.to_owned(),
            max_connections: None,
            max_queues: Some(max_queues),
        };
        VhostDefaults {
            limits: vec![limits("^dev", 10), limits(".*", 100)],
            users: vec![DefaultAccess {
                name: "ops".to_owned(),
                vhosts: "^prod".to_owned(),
                password: Some("secret".to_owned()),
                tags: vec!["monitoring".to_owned()],
                configure: String::new(),
                write: String::new(),
                read: ".*".to_owned(),
            }],
            ..VhostDefaults::default()
        }
    }

    fn new_vhost(name: &str) -> Command {
        Command::PutVhost {
            name: name.to_owned(),
            description: String::new(),
            tags: Vec::new(),
            default_queue_type: None,
        }
    }

    #[test]
    fn u25_the_first_limits_that_match_count_unless_there_are_some() {
        let own = Command::SetVhostLimit {
            vhost: "own".to_owned(),
            limit: VhostLimit::MaxQueues,
            value: Some(3),
        };
        let all = ["dev1", "other", "own"].map(str::to_owned);
        let mut commands = all.each_ref().map(|name| new_vhost(name)).to_vec();
        commands.push(own);
        let (catalog, _dir) = catalog_with(&commands);
        let rules = PasswordRules::default();
        defaults().give(&catalog, &all, &rules).unwrap();
        let limits = all.map(|vhost| {
            let state = catalog.read();
            state.vhost(&vhost).unwrap().limits[&VhostLimit::MaxQueues]
        });
        assert_eq!(limits, [10, 100, 3]);
    }

    #[test]
    fn u6_users_come_with_their_first_vhost() {
        let all = ["prod1", "prod2", "test"].map(str::to_owned);
        let commands = all.each_ref().map(|name| new_vhost(name));
        let (catalog, _dir) = catalog_with(&commands);
        let rules = PasswordRules::default();
        defaults().give(&catalog, &all[2..], &rules).unwrap();
        assert!(catalog.read().user("ops").is_none());
        defaults().give(&catalog, &all, &rules).unwrap();
        let state = catalog.read();
        assert_eq!(state.user("ops").unwrap().tags, ["monitoring"]);
        for vhost in ["prod1", "prod2"] {
            assert_eq!(state.permission("ops", vhost).unwrap().read, ".*");
        }
        assert!(state.permission("ops", "test").is_none());
    }
}
