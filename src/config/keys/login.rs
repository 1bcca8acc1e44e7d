//! Keys of users and logging in.

use warren_broker::auth::HashingAlgorithm;

use super::Key;
use crate::config::draft::{Validator, names};
use crate::config::value::{BadValue, Secret, boolean, number, put, text};
use crate::config::{AuthMechanism, Draft};

const PATTERN: &str = "a regular expression";

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "default_user",
        default: "guest",
        accepts: "a name that is not empty",
        doc: "User created on the first start, when there are no users and no definitions.",
        set: |d, _, v| put(&mut d.config.login.default_user, text(v)),
    },
    Key {
        name: "default_pass",
        default: "guest",
        accepts: "a password that is not empty; quote it if it holds a `#`",
        doc: "Password of that user. It is not used again after the first start.",
        set: |d, _, v| put(&mut d.config.login.default_pass, text(v).map(Secret::new)),
    },
    Key {
        name: "default_vhost",
        default: "/",
        accepts: "a name that is not empty",
        doc: "Vhost created on the first start.",
        set: |d, _, v| put(&mut d.config.login.default_vhost, text(v)),
    },
    Key {
        name: "default_user_tags.<tag>",
        default: "(administrator)",
        accepts: "`true` or `false`",
        doc: "Tags of that user. When any is named, only the ones that are true are given.",
        set: |d, tag, v| {
            d.user_tags.insert(tag.to_owned(), boolean(v)?);
            Ok(())
        },
    },
    Key {
        name: "default_permissions.configure",
        default: ".*",
        accepts: PATTERN,
        doc: "What that user may declare and delete in the default vhost.",
        set: |d, _, v| {
            put(
                &mut d.config.login.default_permissions.configure,
                Ok(v.to_owned()),
            )
        },
    },
    Key {
        name: "default_permissions.read",
        default: ".*",
        accepts: PATTERN,
        doc: "What that user may consume from.",
        set: |d, _, v| {
            put(
                &mut d.config.login.default_permissions.read,
                Ok(v.to_owned()),
            )
        },
    },
    Key {
        name: "default_permissions.write",
        default: ".*",
        accepts: PATTERN,
        doc: "What that user may publish to.",
        set: |d, _, v| {
            put(
                &mut d.config.login.default_permissions.write,
                Ok(v.to_owned()),
            )
        },
    },
    Key {
        name: "loopback_users",
        default: "guest",
        accepts: "`none`, or user names separated by commas or blanks",
        doc: "Users that may log in from this machine only. Replaces the list.",
        set: |d, _, v| {
            d.config.login.loopback_users = if v == "none" { names("") } else { names(v) };
            Ok(())
        },
    },
    Key {
        name: "loopback_users.<user>",
        default: "(true for guest)",
        accepts: "`true` or `false`",
        doc: "Adds one user to that list or takes one off; says nothing about the others.",
        set: |d, user, v| set_loopback(d, user, boolean(v)?),
    },
    Key {
        name: "auth_mechanisms.<n>",
        default: "(PLAIN, AMQPLAIN, ANONYMOUS)",
        accepts: "`PLAIN`, `AMQPLAIN`, `EXTERNAL` or `ANONYMOUS`, with a number for <n>",
        doc: "SASL mechanisms offered, in the order of <n>. When any is named, only those. \
              EXTERNAL (the client's certificate names the user) is offered over TLS only, \
              ANONYMOUS only with `anonymous_login_user`.",
        set: |d, n, v| {
            d.auth_mechanisms
                .insert(number(n, 0, u32::MAX)?, mechanism(v)?);
            Ok(())
        },
    },
    Key {
        name: "password_hashing_module",
        default: "rabbit_password_hashing_sha256",
        accepts: "`rabbit_password_hashing_sha256`, `rabbit_password_hashing_sha512` or \
                  `rabbit_password_hashing_md5`",
        doc: "How new passwords are stored: salted, with this digest.",
        set: |d, _, v| {
            let hashing = HashingAlgorithm::from_name(v).ok_or(BadValue::Form);
            put(&mut d.config.login.passwords.hashing, hashing)
        },
    },
    Key {
        name: "credential_validator.validation_backend",
        default: "rabbit_credential_validator_accept_everything",
        accepts: "`rabbit_credential_validator_accept_everything`, \
                  `rabbit_credential_validator_min_password_length` or \
                  `rabbit_credential_validator_password_regexp`",
        doc: "What new passwords must be like; empty ones are never accepted.",
        set: |d, _, v| put(&mut d.validator, validator(v)),
    },
    Key {
        name: "credential_validator.min_length",
        default: "8",
        accepts: "a number from 0 to 65535",
        doc: "The least number of characters, for `..._min_password_length`.",
        set: |d, _, v| put(&mut d.min_password_length, number(v, 0, 65535)),
    },
    Key {
        name: "credential_validator.regexp",
        default: "(none)",
        accepts: PATTERN,
        doc: "What must match somewhere, for `..._password_regexp`.",
        set: |d, _, v| put(&mut d.password_pattern, text(v).map(Some)),
    },
    Key {
        name: "anonymous_login_user",
        default: "none",
        accepts: "a user's name, or `none`",
        doc: "User that clients without credentials (mechanism ANONYMOUS) act as. RabbitMQ 4 has \
              `guest` here.",
        set: |d, _, v| {
            d.anonymous_user = match text(v)?.as_str() {
                "none" => None,
                name => Some(name.to_owned()),
            };
            Ok(())
        },
    },
    Key {
        name: "anonymous_login_pass",
        default: "guest",
        accepts: "a password that is not empty",
        doc: "Password of that user.",
        set: |d, _, v| put(&mut d.anonymous_pass, text(v).map(Secret::new)),
    },
];

fn validator(text: &str) -> Result<Option<Validator>, BadValue> {
    Ok(Some(match text {
        "rabbit_credential_validator_accept_everything" => Validator::Everything,
        "rabbit_credential_validator_min_password_length" => Validator::MinLength,
        "rabbit_credential_validator_password_regexp" => Validator::Pattern,
        _ => return Err(BadValue::Form),
    }))
}

fn set_loopback(draft: &mut Draft, user: &str, only_here: bool) -> Result<(), BadValue> {
    let users = &mut draft.config.login.loopback_users;
    if only_here {
        users.insert(user.to_owned());
    } else {
        users.remove(user);
    }
    Ok(())
}

fn mechanism(name: &str) -> Result<AuthMechanism, BadValue> {
    match name {
        "PLAIN" => Ok(AuthMechanism::Plain),
        "AMQPLAIN" => Ok(AuthMechanism::AmqPlain),
        "EXTERNAL" => Ok(AuthMechanism::External),
        "ANONYMOUS" => Ok(AuthMechanism::Anonymous),
        _ => Err(BadValue::Form),
    }
}
