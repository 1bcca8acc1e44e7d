//! Users while the node runs. A change of password, tags or permissions needs nothing more than
//! its command: every session asks the catalog's version before it relies on what it remembers.

use warren_amqp::ReplyError;

use crate::broker::Broker;
use crate::catalog::{CatalogError, Command};
use crate::turn::Turn;

impl Broker {
    /// Deletes a user and closes the user's connections (row U-3).
    ///
    /// Errors: `NoSuchUser`, `Log`.
    pub fn delete_user(&self, name: &str, turn: &mut Turn) -> Result<(), CatalogError> {
        let command = Command::DeleteUser {
            name: name.to_owned(),
        };
        self.change(command, turn)?;
        let error = ReplyError::connection_forced(format!("user '{name}' is deleted"));
        self.close_connections(&error, |connection| connection.user() == name);
        Ok(())
    }
}
