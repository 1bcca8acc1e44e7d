//! What counts as durable, and who wants to know.

/// When something counts as durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Once it is on disk (`fdatasync`): survives the loss of power.
    #[default]
    Fsync,
    /// Once the operating system has it: survives the end of the process; the loss of power takes
    /// what was written in the last moments (it is synced every 200 ms).
    Os,
}

impl Durability {
    /// The setting with this name: `fsync` or `os`.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "fsync" => Some(Self::Fsync),
            "os" => Some(Self::Os),
            _ => None,
        }
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fsync => "fsync",
            Self::Os => "os",
        }
    }
}

/// Somebody who waits for something to be on disk.
pub trait Durable: Send + Sync {
    /// Called once, from whoever commits or from the caller of `when_durable`. Must not block.
    fn durable(&self);
}
