//! Options of every command: which node, who asks, which vhost, how the answer looks.

use clap::{Args, ValueEnum};

/// How lists are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Formatter {
    /// Columns separated by tabs, with a header.
    Table,
    /// Columns with borders.
    PrettyTable,
    /// One JSON document.
    Json,
    /// Comma-separated values with a header.
    Csv,
}

/// See the module. The login's fields must not be called as arguments of commands are: clap knows
/// both by these names, and one would stand for the other.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Where the management API is
    #[arg(
        long,
        visible_alias = "uri",
        global = true,
        env = "WARREN_URL",
        default_value = "http://127.0.0.1:15672"
    )]
    pub(crate) url: String,
    /// User name
    #[arg(
        long = "username",
        global = true,
        env = "WARREN_USERNAME",
        default_value = "guest"
    )]
    pub(crate) login_user: String,
    /// Password
    #[arg(
        long = "password",
        global = true,
        env = "WARREN_PASSWORD",
        default_value = "guest",
        hide_env_values = true,
        hide_default_value = true
    )]
    pub(crate) login_password: String,
    /// File with the certificates (PEM) to trust for https
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) tls_ca_cert_file: Option<std::path::PathBuf>,
    /// Virtual host
    #[arg(long, short = 'p', global = true, default_value = "/")]
    pub(crate) vhost: String,
    /// How lists are written
    #[arg(long, global = true, value_enum, default_value = "table")]
    pub(crate) formatter: Formatter,
    /// No headings, only results
    #[arg(
        long,
        short = 'q',
        visible_short_alias = 's',
        visible_alias = "silent",
        global = true
    )]
    pub(crate) quiet: bool,
    /// Tables without their header line
    #[arg(long, global = true)]
    pub(crate) no_table_headers: bool,
    /// Seconds to wait for an answer
    #[arg(long, short = 't', global = true, default_value_t = 60)]
    pub(crate) timeout: u64,
}

impl Options {
    /// Says what is being done, unless asked to be quiet or to speak JSON.
    pub(crate) fn say(&self, text: impl FnOnce() -> String) {
        if !self.quiet && self.formatter != Formatter::Json && self.formatter != Formatter::Csv {
            eprintln!("{}", text());
        }
    }
}
