//! What changes: users, permissions, vhosts, policies, limits, queues, connections, definitions.

use std::io::{Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::Failure;
use crate::client::{Client, path};
use crate::commands::Command;
use crate::options::Options;
use crate::output;

/// Runs a command that changes something.
pub(crate) fn run(client: &Client, options: &Options, command: &Command) -> Result<(), Failure> {
    let vhost = options.vhost.as_str();
    let done = |result: Result<Value, Failure>, text: String| result.map(|_| options.say(|| text));
    match command {
        Command::AddUser { username, password } => {
            add_user(client, options, username, password.as_deref())
        }
        Command::DeleteUser { username } => done(
            client.delete(&path(&["users", username]), &[]),
            format!("Deleted user \"{username}\""),
        ),
        Command::ChangePassword { username, password } => {
            change_password(client, options, username, password.as_deref())
        }
        Command::ClearPassword { username } => {
            let body = json!({ "tags": tags(client, username)?, "password_hash": "" });
            done(
                client.put(&path(&["users", username]), &body),
                format!("Cleared the password of user \"{username}\""),
            )
        }
        Command::AuthenticateUser { username, password } => {
            let password = secret(password.as_deref())?;
            let theirs = Options {
                login_user: username.clone(),
                login_password: password,
                ..options.clone()
            };
            done(
                Client::new(&theirs)?.get("/api/whoami"),
                format!("User \"{username}\" has shown the right password"),
            )
        }
        Command::SetUserTags { username, tags } => set_tags(client, options, username, tags),
        Command::HashPassword { password } => {
            let hash = hash_password(&secret(password.as_deref())?)?;
            output::write(&format!("{hash}\n"))
        }
        Command::SetUserLimits {
            username,
            definition,
        } => set_limits(client, &["user-limits", username], definition),
        Command::ClearUserLimits { username, limit } => {
            let all = ["max-connections", "max-channels"];
            let lifted: Vec<&str> = if limit == "all" {
                all.to_vec()
            } else {
                vec![limit]
            };
            lifted.iter().try_for_each(|name| {
                client
                    .delete(&path(&["user-limits", username, name]), &[])
                    .map(|_| ())
            })
        }
        Command::SetPermissions {
            username,
            configure,
            write,
            read,
        } => {
            let body = json!({ "configure": configure, "write": write, "read": read });
            done(
                client.put(&path(&["permissions", vhost, username]), &body),
                format!("Set the permissions of user \"{username}\" in vhost \"{vhost}\""),
            )
        }
        Command::SetPermissionsGlobally {
            username,
            configure,
            write,
            read,
        } => {
            let body = json!({ "configure": configure, "write": write, "read": read });
            let vhosts = client.get("/api/vhosts")?;
            let names = vhosts.as_array().into_iter().flatten();
            for name in names.filter_map(|vhost| vhost["name"].as_str()) {
                client.put(&path(&["permissions", name, username]), &body)?;
            }
            options.say(|| format!("Set the permissions of user \"{username}\" everywhere"));
            Ok(())
        }
        Command::ClearPermissions { username } => done(
            client.delete(&path(&["permissions", vhost, username]), &[]),
            format!("Cleared the permissions of user \"{username}\" in vhost \"{vhost}\""),
        ),
        Command::SetTopicPermissions {
            username,
            exchange,
            write,
            read,
        } => {
            let body = json!({ "exchange": exchange, "write": write, "read": read });
            client
                .put(&path(&["topic-permissions", vhost, username]), &body)
                .map(|_| ())
        }
        Command::ClearTopicPermissions { username, exchange } => {
            let mut segments = vec!["topic-permissions", vhost, username.as_str()];
            segments.extend(exchange.as_deref());
            client.delete(&path(&segments), &[]).map(|_| ())
        }
        Command::AddVhost {
            name,
            description,
            tags,
            default_queue_type,
        }
        | Command::UpdateVhostMetadata {
            name,
            description,
            tags,
            default_queue_type,
        } => {
            if matches!(command, Command::UpdateVhostMetadata { .. }) {
                // Changing must not create.
                client.get(&path(&["vhosts", name]))?;
            }
            let given = [
                ("description", description),
                ("tags", tags),
                ("default_queue_type", default_queue_type),
            ];
            let body: Map<String, Value> = given
                .into_iter()
                .filter_map(|(key, value)| Some((key.to_owned(), value.clone()?.into())))
                .collect();
            done(
                client.put(&path(&["vhosts", name]), &body.into()),
                format!("Set vhost \"{name}\""),
            )
        }
        Command::SetVhostTags { name, tags } => {
            client.get(&path(&["vhosts", name]))?;
            done(
                client.put(&path(&["vhosts", name]), &json!({ "tags": tags.join(",") })),
                format!("Set the tags of vhost \"{name}\" to [{}]", tags.join(", ")),
            )
        }
        Command::DeleteVhost { name } => done(
            client.delete(&path(&["vhosts", name]), &[]),
            format!("Deleted vhost \"{name}\""),
        ),
        Command::TraceOn | Command::TraceOff => {
            // Changing must not create.
            client.get(&path(&["vhosts", vhost]))?;
            let on = matches!(command, Command::TraceOn);
            let state = if on { "enabled" } else { "disabled" };
            done(
                client.put(&path(&["vhosts", vhost]), &json!({"tracing": on})),
                format!("Trace {state} for vhost {vhost}"),
            )
        }
        Command::SetVhostLimits { definition } => {
            set_limits(client, &["vhost-limits", vhost], definition)
        }
        Command::ClearVhostLimits => {
            ["max-connections", "max-queues"]
                .iter()
                .try_for_each(|name| {
                    client
                        .delete(&path(&["vhost-limits", vhost, name]), &[])
                        .map(|_| ())
                })
        }
        Command::EnableVhostDeletionProtection { name } => client
            .post(
                &path(&["vhosts", name, "deletion", "protection"]),
                &json!({}),
            )
            .map(|_| ()),
        Command::DisableVhostDeletionProtection { name } => client
            .delete(&path(&["vhosts", name, "deletion", "protection"]), &[])
            .map(|_| ()),
        Command::SetPolicy {
            name,
            pattern,
            definition,
            priority,
            apply_to,
        } => set_policy(
            client,
            &path(&["policies", vhost, name]),
            pattern,
            definition,
            *priority,
            apply_to,
        ),
        Command::SetOperatorPolicy {
            name,
            pattern,
            definition,
            priority,
            apply_to,
        } => set_policy(
            client,
            &path(&["operator-policies", vhost, name]),
            pattern,
            definition,
            *priority,
            apply_to,
        ),
        Command::ClearPolicy { name } => client
            .delete(&path(&["policies", vhost, name]), &[])
            .map(|_| ()),
        Command::ClearOperatorPolicy { name } => client
            .delete(&path(&["operator-policies", vhost, name]), &[])
            .map(|_| ()),
        Command::SetParameter {
            component,
            name,
            value,
        } => client
            .put(
                &path(&["parameters", component, vhost, name]),
                &json!({ "value": parse(value)? }),
            )
            .map(|_| ()),
        Command::ClearParameter { component, name } => client
            .delete(&path(&["parameters", component, vhost, name]), &[])
            .map(|_| ()),
        Command::SetGlobalParameter { name, value } => client
            .put(
                &path(&["global-parameters", name]),
                &json!({ "value": parse(value)? }),
            )
            .map(|_| ()),
        Command::ClearGlobalParameter { name } => client
            .delete(&path(&["global-parameters", name]), &[])
            .map(|_| ()),
        Command::PurgeQueue { queue } => done(
            client.delete(&path(&["queues", vhost, queue, "contents"]), &[]),
            format!("Purged queue \"{queue}\" in vhost \"{vhost}\""),
        ),
        Command::DeleteQueue {
            queue,
            if_empty,
            if_unused,
        } => {
            let query = format!("?if-empty={if_empty}&if-unused={if_unused}");
            done(
                client.delete(&(path(&["queues", vhost, queue]) + &query), &[]),
                format!("Deleted queue \"{queue}\" in vhost \"{vhost}\""),
            )
        }
        Command::CloseConnection { connection, reason } => client
            .delete(&path(&["connections", connection]), &[("x-reason", reason)])
            .map(|_| ()),
        Command::CloseAllConnections { reason, vhost_only } => {
            let list = if *vhost_only {
                path(&["vhosts", vhost, "connections"])
            } else {
                path(&["connections"])
            };
            close_all(client, options, &list, reason)
        }
        Command::CloseAllUserConnections { username, reason } => close_all(
            client,
            options,
            &path(&["connections", "username", username]),
            reason,
        ),
        Command::ExportDefinitions { file } => export(client, options, file),
        Command::ImportDefinitions { file, dry_run } => {
            import(client, options, file.as_deref(), *dry_run)
        }
        Command::SetClusterName { name } => client
            .put("/api/cluster-name", &json!({ "name": name }))
            .map(|_| ()),
        Command::EnableFeatureFlag { name } => enable_feature_flags(client, name),
        Command::Rebalance => done(
            client.post("/api/rebalance/queues", &json!({})),
            "Nothing to move on a single node".to_owned(),
        ),
        Command::ResetStats => done(
            client.delete("/api/reset", &[]),
            "The history of all numbers begins anew".to_owned(),
        ),
        _ => Err(Failure::Usage("no such command".to_owned())),
    }
}

fn add_user(
    client: &Client,
    options: &Options,
    name: &str,
    password: Option<&str>,
) -> Result<(), Failure> {
    let segments = path(&["users", name]);
    if client.get(&segments).is_ok() {
        return Err(Failure::Refused(format!("user \"{name}\" already exists")));
    }
    client.put(
        &segments,
        &json!({ "password": secret(password)?, "tags": "" }),
    )?;
    options
        .say(|| format!("Added user \"{name}\". It has no permissions yet: see set_permissions."));
    Ok(())
}

fn change_password(
    client: &Client,
    options: &Options,
    name: &str,
    password: Option<&str>,
) -> Result<(), Failure> {
    let body = json!({ "password": secret(password)?, "tags": tags(client, name)? });
    client.put(&path(&["users", name]), &body)?;
    options.say(|| format!("Changed the password of user \"{name}\""));
    Ok(())
}

fn tags(client: &Client, name: &str) -> Result<Value, Failure> {
    Ok(client.get(&path(&["users", name]))?["tags"].take())
}

fn set_tags(
    client: &Client,
    options: &Options,
    name: &str,
    tags: &[String],
) -> Result<(), Failure> {
    let mut user = client.get(&path(&["users", name]))?;
    // A user is always put as a whole: the password stays what it was.
    let body = json!({
        "password_hash": user["password_hash"].take(),
        "hashing_algorithm": user["hashing_algorithm"].take(),
        "tags": tags.join(","),
    });
    client.put(&path(&["users", name]), &body)?;
    options.say(|| format!("Set the tags of user \"{name}\" to [{}]", tags.join(", ")));
    Ok(())
}

fn set_limits(client: &Client, object: &[&str], definition: &str) -> Result<(), Failure> {
    let Value::Object(limits) = parse(definition)? else {
        return Err(Failure::Usage("limits are a JSON object".to_owned()));
    };
    for (name, value) in limits {
        let mut segments = object.to_vec();
        segments.push(&name);
        client.put(&path(&segments), &json!({ "value": value }))?;
    }
    Ok(())
}

fn set_policy(
    client: &Client,
    at: &str,
    pattern: &str,
    definition: &str,
    priority: i64,
    apply_to: &str,
) -> Result<(), Failure> {
    let body = json!({ "pattern": pattern, "definition": parse(definition)?, "priority": priority, "apply-to": apply_to });
    client.put(at, &body).map(|_| ())
}

fn enable_feature_flags(client: &Client, name: &str) -> Result<(), Failure> {
    let names: Vec<String> = if name == "all" {
        let flags = client.get("/api/feature-flags")?;
        let flags = flags.as_array().into_iter().flatten();
        flags
            .filter_map(|flag| flag["name"].as_str().map(str::to_owned))
            .collect()
    } else {
        vec![name.to_owned()]
    };
    names.iter().try_for_each(|name| {
        client
            .put(&path(&["feature-flags", name, "enable"]), &json!({}))
            .map(|_| ())
    })
}

fn close_all(client: &Client, options: &Options, list: &str, reason: &str) -> Result<(), Failure> {
    let found = client.get(list)?;
    let mut closed = 0;
    for connection in found.as_array().into_iter().flatten() {
        let name = connection["name"].as_str().unwrap_or_default();
        match client.delete(&path(&["connections", name]), &[("x-reason", reason)]) {
            // It may have gone by itself.
            Ok(_) | Err(Failure::Refused(_)) => closed += 1,
            Err(other) => return Err(other),
        }
    }
    options.say(|| format!("Closed {closed} connections"));
    Ok(())
}

fn export(client: &Client, options: &Options, file: &str) -> Result<(), Failure> {
    let definitions = client.get("/api/definitions")?;
    let text = format!("{definitions:#}\n");
    if file == "-" {
        return output::write(&text);
    }
    let wrong = |error: std::io::Error| Failure::Refused(format!("{file}: {error}"));
    let mut target = std::fs::File::create(file).map_err(wrong)?;
    target.write_all(text.as_bytes()).map_err(wrong)?;
    options.say(|| format!("Exported definitions to {file}"));
    Ok(())
}

fn import(
    client: &Client,
    options: &Options,
    file: Option<&str>,
    dry_run: bool,
) -> Result<(), Failure> {
    let name = file.unwrap_or("-");
    let text = if name == "-" {
        stdin()?
    } else {
        std::fs::read_to_string(name)
            .map_err(|error| Failure::Refused(format!("{name}: {error}")))?
    };
    let at = if dry_run {
        "/api/definitions?dry_run=true"
    } else {
        "/api/definitions"
    };
    client.post(at, &parse(&text)?)?;
    options.say(|| {
        if dry_run {
            "The definitions are sound".to_owned()
        } else {
            "Imported definitions".to_owned()
        }
    });
    Ok(())
}

fn parse(text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::Usage(format!("not JSON: {error}")))
}

/// A password from the command line, or a line of standard input.
fn secret(given: Option<&str>) -> Result<String, Failure> {
    match given {
        Some(given) => Ok(given.to_owned()),
        None => {
            let mut line = String::new();
            let read = std::io::stdin().read_line(&mut line);
            read.map_err(|error| Failure::Usage(error.to_string()))?;
            Ok(line.trim_end_matches(['\r', '\n']).to_owned())
        }
    }
}

fn stdin() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    Ok(text)
}

/// RabbitMQ's salted SHA-256: base64 of four random bytes and the digest of them and the password.
fn hash_password(password: &str) -> Result<String, Failure> {
    let mut salt = [0; 4];
    getrandom::fill(&mut salt).map_err(|error| Failure::Broken(error.to_string()))?;
    let mut salted = salt.to_vec();
    salted.extend(
        Sha256::new()
            .chain_update(salt)
            .chain_update(password)
            .finalize(),
    );
    Ok(STANDARD.encode(salted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_has_salt_and_digest() {
        let hash = STANDARD.decode(hash_password("secret").unwrap()).unwrap();
        assert_eq!(hash.len(), 36);
        let digest = Sha256::new()
            .chain_update(&hash[..4])
            .chain_update("secret")
            .finalize();
        assert_eq!(&hash[4..], &digest[..]);
    }
}
