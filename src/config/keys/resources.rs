//! Keys of memory, disk, the data folder and definitions.

use std::path::PathBuf;
use std::time::Duration;

use warren_broker::Durability;

use super::Key;
use crate::config::value::{BadValue, bytes, fraction, number, put, text};

const SIZE: &str = "bytes, with units such as `2GB` (thousands) or `512MiB` (1024s)";

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "data_dir",
        default: "./warren-data",
        accepts: "a path",
        doc: "Folder of everything that outlives the process. Not a RabbitMQ key.",
        set: |d, _, v| put(&mut d.config.data_dir, text(v).map(PathBuf::from)),
    },
    Key {
        name: "durability",
        default: "fsync",
        accepts: "`fsync` or `os`",
        doc: "When a persistent message is confirmed: once it is on disk (`fsync`), or once the \
              operating system has it (`os`), which survives a crash of the program but not the loss \
              of power. Definitions are always synced. Not a RabbitMQ key.",
        set: |d, _, v| {
            let durability = Durability::parse(v).ok_or(BadValue::Form);
            put(&mut d.config.durability, durability)
        },
    },
    Key {
        name: "cluster_name",
        default: "(the node's name)",
        accepts: "a name that is not empty",
        doc: "Name shown to clients and in the API.",
        set: |d, _, v| put(&mut d.cluster_name, text(v).map(Some)),
    },
    Key {
        name: "vm_memory_high_watermark.relative",
        default: "0.4",
        accepts: "a fraction from 0 to 1; 0 blocks publishers at once",
        doc: "Part of the total memory above which publishers are blocked. The total is the \
              machine's or, where lower, the control group's limit.",
        set: |d, _, v| put(&mut d.memory_relative, fraction(v, 0.0, 1.0).map(Some)),
    },
    Key {
        name: "vm_memory_high_watermark.absolute",
        default: "(none)",
        accepts: SIZE,
        doc: "Memory in use above which publishers are blocked; wins over the relative one.",
        set: |d, _, v| put(&mut d.memory_absolute, bytes(v).map(Some)),
    },
    Key {
        name: "vm_memory_high_watermark_paging_ratio",
        default: "0.5",
        accepts: "a fraction from 0 to 1",
        doc: "Part of the memory watermark above which queues keep next to nothing of their \
              backlogs in memory.",
        set: |d, _, v| put(&mut d.config.paging.ratio, fraction(v, 0.0, 1.0)),
    },
    Key {
        name: "queue_resident_messages",
        default: "65536",
        accepts: "a number from 64 to 4294967295",
        doc: "Messages of its backlog a queue keeps in memory; the rest is read back from the log \
              when its turn comes.",
        set: |d, _, v| {
            let n = number(v, 64, u32::MAX).map(|n| n as usize);
            put(&mut d.config.paging.resident.messages, n)
        },
    },
    Key {
        name: "queue_resident_bytes",
        default: "8MiB",
        accepts: SIZE,
        doc: "Bytes of its backlog a queue keeps in memory, whichever is reached first.",
        set: |d, _, v| {
            let n = bytes(v).map(|n| usize::try_from(n).unwrap_or(usize::MAX));
            put(&mut d.config.paging.resident.bytes, n)
        },
    },
    Key {
        name: "total_memory_available_override_value",
        default: "(detected)",
        accepts: SIZE,
        doc: "Total memory to calculate with instead of the detected one.",
        set: |d, _, v| {
            put(
                &mut d.config.resources.total_memory_override,
                bytes(v).map(Some),
            )
        },
    },
    Key {
        name: "memory_monitor_interval",
        default: "2500",
        accepts: "milliseconds, 100 to 4294967295",
        doc: "How often memory in use is looked at.",
        set: |d, _, v| {
            let time = number(v, 100, u32::MAX).map(|ms| Duration::from_millis(ms.into()));
            put(&mut d.config.resources.memory_monitor_interval, time)
        },
    },
    Key {
        name: "disk_free_limit.absolute",
        default: "50MB",
        accepts: SIZE,
        doc: "Free space of the data folder's disk below which publishers are blocked; wins over \
              the relative one.",
        set: |d, _, v| put(&mut d.disk_absolute, bytes(v).map(Some)),
    },
    Key {
        name: "disk_free_limit.relative",
        default: "(none)",
        accepts: "a multiple of the total memory, 0 to 1000",
        doc: "The same limit in multiples of the total memory.",
        set: |d, _, v| put(&mut d.disk_relative, fraction(v, 0.0, 1000.0).map(Some)),
    },
    Key {
        name: "load_definitions",
        default: "(none)",
        accepts: "the path of a JSON file",
        doc: "Definitions in RabbitMQ's JSON form, imported at every start.",
        set: |d, _, v| {
            put(
                &mut d.config.definitions,
                text(v).map(PathBuf::from).map(Some),
            )
        },
    },
    Key {
        name: "definitions.import_backend",
        default: "(none)",
        accepts: "`local_filesystem`, together with `definitions.local.path`",
        doc: "The other way to say `load_definitions`.",
        set: |d, _, v| match v {
            "local_filesystem" => put(&mut d.definitions_expected, Ok(true)),
            "https" => Err(BadValue::Because("definitions are read from files only")),
            _ => Err(BadValue::Form),
        },
    },
    Key {
        name: "definitions.local.path",
        default: "(none)",
        accepts: "the path of a JSON file",
        doc: "Another name of `load_definitions`.",
        set: |d, _, v| {
            put(
                &mut d.config.definitions,
                text(v).map(PathBuf::from).map(Some),
            )
        },
    },
    Key {
        name: "event_exchange.vhost",
        default: "(none)",
        accepts: "the name of a vhost",
        doc: "Vhost with the exchange `amq.rabbitmq.event`, where the node tells of connections, queues, users and whatever else comes and goes.",
        set: |d, _, v| put(&mut d.config.event_vhost, text(v).map(Some)),
    },
];
