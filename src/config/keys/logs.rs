//! Keys of the log.

use std::path::PathBuf;

use super::Key;
use crate::config::value::{BadValue, boolean, put, text};
use crate::config::{LogFormat, LogLevel};

const LEVEL: &str = "`debug`, `info`, `notice`, `warning`, `error`, `critical` or `none`";
const FORMAT: &str = "`plaintext` or `json`";

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "log.console",
        default: "true",
        accepts: "`true` or `false`",
        doc: "Whether the log is written to standard error.",
        set: |d, _, v| put(&mut d.console_on, boolean(v)),
    },
    Key {
        name: "log.console.level",
        default: "info",
        accepts: LEVEL,
        doc: "Lowest level shown there.",
        set: |d, _, v| put(&mut d.console.level, level(v)),
    },
    Key {
        name: "log.console.formatter",
        default: "plaintext",
        accepts: FORMAT,
        doc: "Form of its lines.",
        set: |d, _, v| put(&mut d.console.format, format(v)),
    },
    Key {
        name: "log.file",
        default: "false",
        accepts: "`false`, or the name of a file, relative to `log.dir`",
        doc: "A file to append the log to.",
        set: |d, _, v| match v {
            "false" => put(&mut d.file_name, Ok(Some(None))),
            _ => put(&mut d.file_name, text(v).map(|name| Some(Some(name)))),
        },
    },
    Key {
        name: "log.file.level",
        default: "info",
        accepts: LEVEL,
        doc: "Lowest level written to the file.",
        set: |d, _, v| put(&mut d.file.level, level(v)),
    },
    Key {
        name: "log.file.formatter",
        default: "plaintext",
        accepts: FORMAT,
        doc: "Form of the file's lines.",
        set: |d, _, v| put(&mut d.file.format, format(v)),
    },
    Key {
        name: "log.dir",
        default: "(none)",
        accepts: "a path",
        doc: "Folder of the log file. Without `log.file`, the file is named after the node.",
        set: |d, _, v| put(&mut d.log_dir, text(v).map(PathBuf::from).map(Some)),
    },
];

pub(super) fn level(text: &str) -> Result<LogLevel, BadValue> {
    LogLevel::parse(text).ok_or(BadValue::Form)
}

fn format(text: &str) -> Result<LogFormat, BadValue> {
    match text {
        "plaintext" => Ok(LogFormat::Plaintext),
        "json" => Ok(LogFormat::Json),
        _ => Err(BadValue::Form),
    }
}
