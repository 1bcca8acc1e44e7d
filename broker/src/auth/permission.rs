//! Permissions of a user in a vhost: three regular expressions over names of queues and exchanges.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};

use fancy_regex::{Regex, RegexBuilder};
use parking_lot::Mutex;
use warren_amqp::ReplyError;

use super::user::AuthenticatedUser;
use crate::catalog::{Catalog, PermissionDef};

/// Steps a pattern may take back on one name before it counts as not matching. A pattern that
/// needs more was written to burn time.
const BACKTRACK_LIMIT: usize = 100_000;

/// Checks remembered per session.
const REMEMBERED: usize = 12;

/// The name permissions know the default exchange by.
const DEFAULT_EXCHANGE: &str = "amq.default";

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Create and delete.
    Configure,
    /// Put messages in.
    Write,
    /// Take messages out.
    Read,
}

impl Access {
    /// As explanations spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configure => "configure",
            Self::Write => "write",
            Self::Read => "read",
        }
    }
}

/// A compiled pattern. The two that nearly everybody uses need no regular expression at all.
#[derive(Debug)]
pub(super) enum Pattern {
    Everything,
    /// The empty pattern stands for `^$`.
    OnlyEmpty,
    Nothing,
    /// Shared by all sessions with the same pattern: a compiled one takes tens of kilobytes.
    Regex(Arc<Regex>),
}

impl Pattern {
    pub(super) fn new(pattern: &str) -> Self {
        match pattern {
            "" | "^$" => Self::OnlyEmpty,
            ".*" | "^.*" | "^.*$" => Self::Everything,
            _ => shared(pattern).map_or_else(
                |error| {
                    tracing::warn!(pattern, error, "permission pattern matches nothing");
                    Self::Nothing
                },
                Self::Regex,
            ),
        }
    }

    /// Searches, not anchored.
    pub(super) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::OnlyEmpty => name.is_empty(),
            Self::Nothing => false,
            Self::Regex(regex) => regex.is_match(name).unwrap_or(false),
        }
    }
}

/// The compiled pattern; the one in use already, if any session uses it.
fn shared(pattern: &str) -> Result<Arc<Regex>, String> {
    static IN_USE: Mutex<BTreeMap<String, Weak<Regex>>> = Mutex::new(BTreeMap::new());
    let mut in_use = IN_USE.lock();
    if let Some(regex) = in_use.get(pattern).and_then(Weak::upgrade) {
        return Ok(regex);
    }
    let regex = Arc::new(compile(pattern)?);
    // Now and then those that nobody uses any more are forgotten.
    if in_use.len().is_power_of_two() {
        in_use.retain(|_, known| known.strong_count() > 0);
    }
    in_use.insert(pattern.to_owned(), Arc::downgrade(&regex));
    Ok(regex)
}

/// Compiles a pattern that an operator wrote. The error says what is wrong with it.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(pattern)
        .backtrack_limit(BACKTRACK_LIMIT)
        .build();
    built.map_err(|error| error.to_string())
}

/// Whether `pattern` may be stored in a permission. The error says what is wrong with it.
pub fn check_pattern(pattern: &str) -> Result<(), String> {
    compile(pattern).map(drop)
}

/// Whether `pattern`, which was checked, is found in `name`.
pub(crate) fn matches_pattern(pattern: &str, name: &str) -> bool {
    Pattern::new(pattern).matches(name)
}

/// What one user may do in one vhost, compiled.
#[derive(Debug)]
pub struct Permission {
    configure: Pattern,
    write: Pattern,
    read: Pattern,
}

impl Permission {
    /// Compiles the three patterns; one that is not valid matches nothing.
    pub fn new(definition: &PermissionDef) -> Self {
        Self {
            configure: Pattern::new(&definition.configure),
            write: Pattern::new(&definition.write),
            read: Pattern::new(&definition.read),
        }
    }

    /// That of somebody who may do nothing.
    pub fn none() -> Self {
        Self {
            configure: Pattern::Nothing,
            write: Pattern::Nothing,
            read: Pattern::Nothing,
        }
    }

    /// The user's permission in a vhost, which is also the right to open it.
    ///
    /// Errors: `NOT_ALLOWED` when the vhost does not exist or the user has no permission there,
    /// with the texts of `connection.open`.
    pub fn for_vhost(
        catalog: &Catalog,
        user: &AuthenticatedUser,
        vhost: &str,
    ) -> Result<Self, ReplyError> {
        let state = catalog.read();
        if state.vhost(vhost).is_none() {
            return Err(ReplyError::not_allowed(format!("vhost {vhost} not found")));
        }
        let permission = state.permission(&user.name, vhost).cloned();
        // Compiling takes its time; definitions may change meanwhile.
        drop(state);
        permission.as_ref().map(Self::new).ok_or_else(|| {
            ReplyError::not_allowed(format!(
                "access to vhost '{vhost}' refused for user '{}'",
                user.name
            ))
        })
    }

    /// Checks access to a `kind` (`queue` or `exchange`) of that name. The default exchange, the
    /// one with the empty name, is known as `amq.default`.
    ///
    /// Errors: `ACCESS_REFUSED`, naming vhost and user.
    pub fn check(
        &self,
        access: Access,
        kind: &'static str,
        name: &str,
        vhost: &str,
        user: &str,
    ) -> Result<(), ReplyError> {
        let name = if name.is_empty() && kind == "exchange" {
            DEFAULT_EXCHANGE
        } else {
            name
        };
        if self.pattern(access).matches(name) {
            return Ok(());
        }
        Err(ReplyError::access_refused(format!(
            "{} access to {kind} '{name}' in vhost '{vhost}' refused for user '{user}'",
            access.as_str()
        )))
    }

    fn pattern(&self, access: Access) -> &Pattern {
        match access {
            Access::Configure => &self.configure,
            Access::Write => &self.write,
            Access::Read => &self.read,
        }
    }
}

/// A [`Permission`] that remembers the last names it allowed, so that a pattern does not run for
/// every publish. It belongs to one session and is thrown away when permissions change.
#[derive(Debug)]
pub struct PermissionCache {
    permission: Permission,
    /// Newest last; never more than [`REMEMBERED`]. Only what was allowed: a refusal ends the
    /// channel anyway.
    allowed: VecDeque<(Access, &'static str, String)>,
}

impl PermissionCache {
    /// Starts with nothing remembered.
    pub fn new(permission: Permission) -> Self {
        Self {
            permission,
            allowed: VecDeque::new(),
        }
    }

    /// As [`Permission::check`].
    pub fn check(
        &mut self,
        access: Access,
        kind: &'static str,
        name: &str,
        vhost: &str,
        user: &str,
    ) -> Result<(), ReplyError> {
        let known = |entry: &(Access, &str, String)| {
            entry.0 == access && entry.1 == kind && entry.2 == name
        };
        let needs_no_memory = !matches!(self.permission.pattern(access), Pattern::Regex(_));
        if !needs_no_memory && self.allowed.iter().any(known) {
            return Ok(());
        }
        self.permission.check(access, kind, name, vhost, user)?;
        if !needs_no_memory {
            if self.allowed.len() == REMEMBERED {
                self.allowed.pop_front();
            }
            self.allowed.push_back((access, kind, name.to_owned()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use warren_amqp::ReplyCode;

    use super::*;

    fn permission(configure: &str, write: &str, read: &str) -> Permission {
        Permission::new(&PermissionDef {
            configure: configure.to_owned(),
            write: write.to_owned(),
            read: read.to_owned(),
        })
    }

    fn allowed(pattern: &str, name: &str) -> bool {
        permission(pattern, "", "")
            .check(Access::Configure, "queue", name, "/", "u")
            .is_ok()
    }

    #[test]
    fn sessions_share_compiled_patterns() {
        let one = shared("^shared-[0-9]+$").unwrap();
        let two = shared("^shared-[0-9]+$").unwrap();
        assert!(Arc::ptr_eq(&one, &two));
        let gone = Arc::downgrade(&one);
        drop((one, two));
        assert!(gone.upgrade().is_none());
        assert!(shared("(").is_err());
    }

    #[test]
    fn patterns_are_searched_and_not_anchored() {
        assert!(allowed("b", "abc"));
        assert!(!allowed("^b", "abc"));
        assert!(allowed("^(amq\\.gen.*|orders)$", "amq.gen-x"));
        assert!(!allowed("^(amq\\.gen.*|orders)$", "orders2"));
        assert!(allowed("^(?!secret)", "open"));
        assert!(!allowed("^(?!secret)", "secret.1"));
    }

    #[test]
    fn the_empty_pattern_allows_nothing_with_a_name() {
        assert!(!allowed("", "q"));
        assert!(allowed(".*", "q"));
        assert!(!permission("", "", "").pattern(Access::Read).matches("x"));
    }

    #[test]
    fn a_pattern_that_is_not_valid_allows_nothing() {
        assert!(check_pattern("(").is_err());
        assert!(check_pattern("^a.*$").is_ok());
        assert!(!allowed("(", "("));
    }

    #[test]
    fn a_pattern_that_takes_too_long_does_not_match() {
        let name = "a".repeat(200);
        // The back reference keeps it from being handed to an engine that never goes back.
        assert!(!allowed("^((a|aa)+)\\1$b", &name));
    }

    #[test]
    fn refusals_name_access_object_vhost_and_user() {
        let none = permission("", "", "");
        let error = none
            .check(Access::Configure, "queue", "q", "v1", "bob")
            .unwrap_err();
        assert_eq!(error.code, ReplyCode::AccessRefused);
        assert_eq!(
            error.explanation,
            "configure access to queue 'q' in vhost 'v1' refused for user 'bob'"
        );
        let error = none
            .check(Access::Write, "exchange", "", "v1", "bob")
            .unwrap_err();
        assert_eq!(
            error.explanation,
            "write access to exchange 'amq.default' in vhost 'v1' refused for user 'bob'"
        );
        let error = Permission::none()
            .check(Access::Read, "queue", "", "v1", "bob")
            .unwrap_err();
        assert_eq!(
            error.explanation,
            "read access to queue '' in vhost 'v1' refused for user 'bob'"
        );
    }

    #[test]
    fn the_default_exchange_is_checked_by_its_name() {
        let only = permission("", "^amq\\.default$", "");
        assert!(only.check(Access::Write, "exchange", "", "/", "u").is_ok());
        assert!(
            only.check(Access::Write, "exchange", "amq.direct", "/", "u")
                .is_err()
        );
    }

    #[test]
    fn the_cache_is_bounded() {
        let mut cache = PermissionCache::new(permission("^q", "", ""));
        for n in 0..100 {
            let name = format!("q{n}");
            assert!(
                cache
                    .check(Access::Configure, "queue", &name, "/", "u")
                    .is_ok()
            );
        }
        assert_eq!(cache.allowed.len(), REMEMBERED);
    }

    proptest! {
        #[test]
        fn the_cache_answers_as_the_permission(
            asked in prop::collection::vec((0..3u8, any::<bool>(), "[ab]{0,2}"), 0..60)
        ) {
            let direct = permission("^a", "b$", "^(ab)?$");
            let mut cache = PermissionCache::new(permission("^a", "b$", "^(ab)?$"));
            for (access, queue, name) in asked {
                let access = [Access::Configure, Access::Write, Access::Read][usize::from(access)];
                let kind = if queue { "queue" } else { "exchange" };
                prop_assert_eq!(
                    cache.check(access, kind, &name, "/", "u"),
                    direct.check(access, kind, &name, "/", "u")
                );
            }
        }

        #[test]
        fn any_pattern_is_answered(pattern in "\\PC{0,20}", name in "\\PC{0,20}") {
            let _ = check_pattern(&pattern);
            let _ = allowed(&pattern, &name);
        }
    }
}
