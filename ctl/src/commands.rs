//! The commands: RabbitMQ's names and arguments.

use clap::{Subcommand, ValueEnum};
use clap_complete::Shell;

/// What a policy may match.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ObjectType {
    Queue,
    Exchange,
}

/// One command.
#[derive(Clone, Debug, Subcommand)]
#[command(rename_all = "snake_case")]
pub(crate) enum Command {
    // What shows.
    /// Queues with the given columns
    ListQueues {
        columns: Vec<String>,
        /// Those that can be used
        #[arg(long)]
        online: bool,
        /// Those that cannot
        #[arg(long, conflicts_with = "online")]
        offline: bool,
        /// Those of this node
        #[arg(long)]
        local: bool,
    },
    /// Queues that do not answer
    ListUnresponsiveQueues { columns: Vec<String> },
    /// Exchanges
    ListExchanges { columns: Vec<String> },
    /// Bindings
    ListBindings { columns: Vec<String> },
    /// Connections
    ListConnections { columns: Vec<String> },
    /// Channels
    ListChannels { columns: Vec<String> },
    /// Consumers
    ListConsumers { columns: Vec<String> },
    /// Virtual hosts
    ListVhosts { columns: Vec<String> },
    /// Users and their tags
    ListUsers,
    /// Permissions in a virtual host
    ListPermissions,
    /// Permissions of a user
    ListUserPermissions { username: String },
    /// Topic permissions in a virtual host
    ListTopicPermissions,
    /// Topic permissions of a user
    ListUserTopicPermissions { username: String },
    /// Policies
    ListPolicies,
    /// Operator policies
    ListOperatorPolicies,
    /// Policies that match a queue or exchange; the first one is in force
    ListPoliciesThatMatch {
        name: String,
        #[arg(long = "object-type", default_value = "queue")]
        object_type: ObjectType,
    },
    /// Runtime parameters
    ListParameters,
    /// Global runtime parameters
    ListGlobalParameters,
    /// Limits of a virtual host, or of all
    ListVhostLimits {
        /// All virtual hosts
        #[arg(long)]
        global: bool,
    },
    /// Limits of a user, or of all
    ListUserLimits {
        /// One user
        #[arg(long)]
        user: Option<String>,
        /// All users
        #[arg(long)]
        global: bool,
    },
    /// Feature flags
    ListFeatureFlags { columns: Vec<String> },
    /// Features on their way out
    ListDeprecatedFeatures,
    /// Plug-ins of RabbitMQ whose place this node takes
    ListPlugins,

    // What changes.
    /// Create a user; reads the password from standard input when it is left out
    AddUser {
        username: String,
        password: Option<String>,
    },
    /// Delete a user; its connections are closed
    DeleteUser { username: String },
    /// Change a password; reads it from standard input when it is left out
    ChangePassword {
        username: String,
        password: Option<String>,
    },
    /// Take a user's password away: no login by password any more
    ClearPassword { username: String },
    /// Check a user's password
    AuthenticateUser {
        username: String,
        password: Option<String>,
    },
    /// Replace a user's tags
    SetUserTags { username: String, tags: Vec<String> },
    /// The hash of a password, as definitions files hold it
    HashPassword { password: Option<String> },
    /// Set limits of a user, as JSON
    SetUserLimits {
        username: String,
        definition: String,
    },
    /// Lift a limit of a user, or `all`
    ClearUserLimits { username: String, limit: String },
    /// Set a user's permissions in a virtual host
    SetPermissions {
        username: String,
        configure: String,
        write: String,
        read: String,
    },
    /// Set a user's permissions in all virtual hosts
    SetPermissionsGlobally {
        username: String,
        configure: String,
        write: String,
        read: String,
    },
    /// Clear a user's permissions in a virtual host
    ClearPermissions { username: String },
    /// Set a user's topic permissions for an exchange
    SetTopicPermissions {
        username: String,
        exchange: String,
        write: String,
        read: String,
    },
    /// Clear a user's topic permissions, for one exchange or all
    ClearTopicPermissions {
        username: String,
        exchange: Option<String>,
    },
    /// Create a virtual host
    AddVhost {
        name: String,
        #[arg(long)]
        description: Option<String>,
        /// Words separated by commas
        #[arg(long)]
        tags: Option<String>,
        #[arg(long = "default-queue-type")]
        default_queue_type: Option<String>,
    },
    /// Delete a virtual host with everything in it
    DeleteVhost { name: String },
    /// Change description, tags or default queue type
    UpdateVhostMetadata {
        name: String,
        #[arg(long)]
        description: Option<String>,
        #[arg(long)]
        tags: Option<String>,
        #[arg(long = "default-queue-type")]
        default_queue_type: Option<String>,
    },
    /// Replace a virtual host's tags
    SetVhostTags { name: String, tags: Vec<String> },
    /// Set limits of a virtual host, as JSON
    SetVhostLimits { definition: String },
    /// Lift all limits of a virtual host
    ClearVhostLimits,
    /// Refuse to delete a virtual host
    EnableVhostDeletionProtection { name: String },
    /// Allow to delete a virtual host
    DisableVhostDeletionProtection { name: String },
    /// Copy the messages of a virtual host to its exchange amq.rabbitmq.trace
    TraceOn,
    /// Stop copying messages
    TraceOff,
    /// Set a policy
    SetPolicy {
        name: String,
        pattern: String,
        definition: String,
        #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
        priority: i64,
        #[arg(long = "apply-to", default_value = "all")]
        apply_to: String,
    },
    /// Clear a policy
    ClearPolicy { name: String },
    /// Set an operator policy
    SetOperatorPolicy {
        name: String,
        pattern: String,
        definition: String,
        #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
        priority: i64,
        #[arg(long = "apply-to", default_value = "queues")]
        apply_to: String,
    },
    /// Clear an operator policy
    ClearOperatorPolicy { name: String },
    /// Set a runtime parameter, as JSON
    SetParameter {
        component: String,
        name: String,
        value: String,
    },
    /// Clear a runtime parameter
    ClearParameter { component: String, name: String },
    /// Set a global runtime parameter, as JSON
    SetGlobalParameter { name: String, value: String },
    /// Clear a global runtime parameter
    ClearGlobalParameter { name: String },
    /// Drop a queue's ready messages
    PurgeQueue { queue: String },
    /// Delete a queue
    DeleteQueue {
        queue: String,
        #[arg(long = "if-empty", short = 'e')]
        if_empty: bool,
        #[arg(long = "if-unused", short = 'u')]
        if_unused: bool,
    },
    /// Close a connection by name
    CloseConnection { connection: String, reason: String },
    /// Close all connections, or those of the virtual host with --vhost-only
    CloseAllConnections {
        reason: String,
        /// Only those in --vhost
        #[arg(long = "vhost-only")]
        vhost_only: bool,
    },
    /// Close all connections of a user
    CloseAllUserConnections { username: String, reason: String },
    /// Write the definitions to a file, or to standard output with `-`
    ExportDefinitions { file: String },
    /// Read definitions from a file, or from standard input with `-`
    ImportDefinitions {
        file: Option<String>,
        /// Only check them
        #[arg(long = "dry-run")]
        dry_run: bool,
    },
    /// Name the cluster
    SetClusterName { name: String },
    /// Enable a feature flag, or `all`
    EnableFeatureFlag { name: String },
    /// Spread the leaders of queues over the nodes
    Rebalance,
    /// Forget the history of all numbers
    ResetStats,

    // The node.
    /// Stop the node and wait until it is gone
    #[command(visible_alias = "shutdown")]
    Stop,
    /// Wait until the node can be used
    AwaitStartup,
    /// Open the log file anew, after it was moved away
    RotateLogs,
    /// Let no new client connect, until resume_listeners or the node's next start
    SuspendListeners,
    /// Let clients connect again
    ResumeListeners,
    /// Set the lowest level logged, until the node stops
    SetLogLevel { level: String },
    /// Block publishers above this part of the memory (0 to 1), or `absolute` a size such as 2GB
    SetVmMemoryHighWatermark {
        #[arg(required = true, num_args = 1..=2)]
        limit: Vec<String>,
    },
    /// Block publishers below so much free disk space, such as 2GB, or `mem_relative` a factor
    SetDiskFreeLimit {
        #[arg(required = true, num_args = 1..=2)]
        limit: Vec<String>,
    },

    // How it is.
    /// What runs where and how it does
    Status,
    /// Whether the node answers
    Ping,
    /// Its version
    #[command(visible_alias = "server_version")]
    Version,
    /// The settings it runs with
    Environment,
    /// Status, settings and lists in one text
    Report,
    /// Its listeners
    Listeners,
    /// The last lines of its log
    LogTail {
        /// How many
        #[arg(long, short = 'N', default_value_t = 10)]
        number: u32,
    },
    /// Its log, line by line as it is written
    LogTailStream {
        /// Seconds; without end if left out
        #[arg(long, short = 'd')]
        duration: Option<u64>,
    },
    /// Name and members of the cluster
    ClusterStatus,
    /// Where memory goes
    MemoryBreakdown,
    /// Fails unless the node runs
    CheckRunning,
    /// Fails while any alarm is on
    CheckAlarms,
    /// Fails while an alarm of this node is on
    CheckLocalAlarms,
    /// Fails unless something listens on the port
    CheckPortListener { port: u16 },
    /// Fails unless the protocol is served
    CheckProtocolListener { protocol: String },
    /// Fails unless every virtual host runs
    CheckVirtualHosts,
    /// Fails when a certificate of a listener expires within the time
    CheckCertificateExpiration {
        /// How far to look ahead
        #[arg(long)]
        within: u32,
        /// days, weeks, months or years
        #[arg(long, default_value = "days")]
        unit: String,
    },
    /// Fails when stopping the node would leave quorum queues without a majority
    CheckIfNodeIsQuorumCritical,
    /// Fails when stopping the node would lose unsynchronised mirrors
    CheckIfNodeIsMirrorSyncCritical,
    /// A completion script for a shell
    Completion { shell: Shell },
}

impl Command {
    /// Whether it is a `list_...`.
    pub(crate) fn lists(&self) -> bool {
        use Command::*;
        matches!(
            self,
            ListQueues { .. }
                | ListUnresponsiveQueues { .. }
                | ListExchanges { .. }
                | ListBindings { .. }
                | ListConnections { .. }
                | ListChannels { .. }
                | ListConsumers { .. }
                | ListVhosts { .. }
                | ListUsers
                | ListPermissions
                | ListUserPermissions { .. }
                | ListTopicPermissions
                | ListUserTopicPermissions { .. }
                | ListPolicies
                | ListOperatorPolicies
                | ListPoliciesThatMatch { .. }
                | ListParameters
                | ListGlobalParameters
                | ListVhostLimits { .. }
                | ListUserLimits { .. }
                | ListFeatureFlags { .. }
                | ListDeprecatedFeatures
                | ListPlugins
        )
    }

    /// Whether it looks at the node's state.
    pub(crate) fn diagnoses(&self) -> bool {
        use Command::*;
        matches!(
            self,
            Status
                | Ping
                | Version
                | Environment
                | Report
                | Listeners
                | LogTail { .. }
                | LogTailStream { .. }
                | ClusterStatus
                | MemoryBreakdown
                | CheckRunning
                | CheckAlarms
                | CheckLocalAlarms
                | CheckPortListener { .. }
                | CheckProtocolListener { .. }
                | CheckVirtualHosts
                | CheckCertificateExpiration { .. }
                | CheckIfNodeIsQuorumCritical
                | CheckIfNodeIsMirrorSyncCritical
        )
    }

    /// Whether it changes how the node runs.
    pub(crate) fn operates(&self) -> bool {
        use Command::*;
        matches!(
            self,
            Stop | AwaitStartup
                | RotateLogs
                | SuspendListeners
                | ResumeListeners
                | SetLogLevel { .. }
                | SetVmMemoryHighWatermark { .. }
                | SetDiskFreeLimit { .. }
        )
    }
}
