//! `holotype login`, `logout`, `user`, `token`, `enrolment-code`.

use super::management::id;
use crate::arguments::{
    CodeArguments, EnrolmentCodeAction, GlobalArguments, LoginArguments, TokenAction, TokenArguments, UserAction,
};
use crate::exit::{Exit, Failure, Result};
use crate::key_file::FreshKeyFile;
use crate::output::{self, Table};
use crate::server_api::{ServerApi, escape};
use crate::{passwords, token_file, units};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Serialize, Deserialize)]
struct User {
    id: String,
    name: String,
    role: String,
    created_ms: i64,
    disabled_ms: Option<i64>,
}

#[derive(Deserialize)]
struct Fresh {
    id: String,
    token: String,
    expires_ms: i64,
}

/// Logs in, and keeps the token.
pub fn login(global: &GlobalArguments, arguments: &LoginArguments) -> Result {
    #[derive(Deserialize)]
    struct Session {
        token: String,
        expires_ms: i64,
        role: String,
    }
    let api = ServerApi::open_without_token(global)?;
    let path = token_file::path(global)?;
    let password = passwords::own(global)?;
    let body =
        json!({ "organisation": arguments.org, "user": arguments.user, "password": passwords::text(&password)? });
    let session: Session = api.post("/login", &body)?;
    token_file::write(&path, &session.token)?;
    let until = units::time_of_ms(session.expires_ms);
    let value = json!({ "token_file": path, "expires_ms": session.expires_ms, "role": session.role });
    done(global, value, format!("logged in as {} ({}) until {until}", arguments.user, session.role))
}

/// Ends the session, and throws its token away.
pub fn logout(global: &GlobalArguments) -> Result {
    ServerApi::open(global)?.send(Method::POST, "/logout", None)?;
    token_file::remove(&token_file::path(global)?)?;
    done(global, json!({}), "logged out".to_owned())
}

/// Manages users.
pub fn user(global: &GlobalArguments, action: &UserAction) -> Result {
    let api = ServerApi::open(global)?;
    match action {
        UserAction::List => {
            let users: Vec<User> = api.list("/users")?;
            if global.json {
                output::json(&users);
                return Ok(Exit::Done);
            }
            let mut table = Table::new(&["NAME", "ROLE", "MADE", "STATE"]);
            for user in users {
                let state = if user.disabled_ms.is_some() { "disabled" } else { "" };
                table.row([user.name, user.role, units::time_of_ms(user.created_ms), state.to_owned()]);
            }
            table.print();
            Ok(Exit::Done)
        }
        UserAction::Add { name, role, new_password_file } => {
            let password = passwords::new(new_password_file.as_deref(), "--new-password-file")?;
            let body = json!({ "name": name, "role": role.word(), "password": passwords::text(&password)? });
            let made: Value = api.post("/users", &body)?;
            done(global, made, format!("made user {name} ({})", role.word()))
        }
        UserAction::Role { name, role } => change(global, &api, name, json!({ "role": role.word() })),
        UserAction::Disable { name } => change(global, &api, name, json!({ "disabled": true })),
        UserAction::Enable { name } => change(global, &api, name, json!({ "disabled": false })),
        UserAction::Remove { name } => {
            api.delete(&format!("/users/{}", escape(&find(&api, name)?.id)))?;
            done(global, json!({ "removed": name }), format!("user {name} is removed"))
        }
        UserAction::Passwd { name, new_password_file } => {
            let me: Value = api.get("/me")?;
            let my_name = me["user"]["name"].as_str().unwrap_or_default();
            let mut body = json!({});
            let id = match name.as_deref().filter(|name| *name != my_name) {
                Some(name) => find(&api, name)?.id,
                None => {
                    body["old_password"] = passwords::text(&passwords::own(global)?)?.into();
                    me["user"]["id"].as_str().unwrap_or_default().to_owned()
                }
            };
            let password = passwords::new(new_password_file.as_deref(), "--new-password-file")?;
            body["password"] = passwords::text(&password)?.into();
            api.put::<Value>(&format!("/users/{}/password", escape(&id)), &body)?;
            done(global, json!({ "id": id }), "the password is set".to_owned())
        }
    }
}

fn find(api: &ServerApi, name: &str) -> Result<User, Failure> {
    let users: Vec<User> = api.list("/users")?;
    let missing = || Failure::failed("not-found", format!("user {name}: there is none; see `holotype user list`"));
    users.into_iter().find(|user| user.name == name).ok_or_else(missing)
}

fn change(global: &GlobalArguments, api: &ServerApi, name: &str, body: Value) -> Result {
    let id = find(api, name)?.id;
    let user: Value = api.patch(&format!("/users/{}", escape(&id)), &body)?;
    let state = if user["disabled_ms"].is_null() { "enabled" } else { "disabled" };
    let text = format!("user {name} is {} and {state} now", user["role"].as_str().unwrap_or_default());
    done(global, user, text)
}

/// Manages tokens.
pub fn token(global: &GlobalArguments, action: &TokenAction) -> Result {
    let api = ServerApi::open(global)?;
    match action {
        TokenAction::List => {
            list(global, &api.list::<Value>("/tokens")?, &["ID", "KIND", "NAME", "OF", "EXPIRES", "STATE"], |token| {
                let text = |name: &str| token[name].as_str().unwrap_or_default().to_owned();
                let of = match token["machine"].as_str() {
                    Some(machine) => format!("machine {machine}"),
                    None => format!("user {}", text("user")),
                };
                let state = if token["revoked_ms"].is_null() { "" } else { "revoked" };
                [text("id"), text("kind"), text("name"), of, time(&token["expires_ms"]), state.to_owned()]
            })
        }
        TokenAction::Add(arguments) => add_token(global, &api, arguments),
        TokenAction::Revoke { id } => {
            api.delete(&format!("/tokens/{}", escape(id)))?;
            done(global, json!({ "revoked": id }), format!("token {id} is worth nothing now"))
        }
    }
}

fn add_token(global: &GlobalArguments, api: &ServerApi, arguments: &TokenArguments) -> Result {
    let machine = arguments.machine.as_ref().map(|name| id(api, "machines", "machine", name)).transpose()?;
    let mut file = FreshKeyFile::create(&arguments.new_token_file)?;
    let mut body = json!({ "name": arguments.name, "expires_in_seconds": arguments.days * 24 * 3600 });
    if let Some(machine) = machine {
        body["machine"] = json!(machine);
    }
    if !arguments.repository.is_empty() {
        body["repositories"] = json!(arguments.repository);
    }
    let made: Fresh = api.post("/tokens", &body)?;
    file.write_text(&format!("{}\n", made.token))?;
    file.keep();
    let text = format!(
        "token {} is in {} and good until {}",
        made.id,
        arguments.new_token_file.display(),
        units::time_of_ms(made.expires_ms)
    );
    done(global, json!({ "id": made.id, "expires_ms": made.expires_ms, "token_file": arguments.new_token_file }), text)
}

/// Manages enrolment codes.
pub fn enrolment_code(global: &GlobalArguments, action: &EnrolmentCodeAction) -> Result {
    let api = ServerApi::open(global)?;
    match action {
        EnrolmentCodeAction::Add(arguments) => add_code(global, &api, arguments),
        EnrolmentCodeAction::List => list(
            global,
            &api.list::<Value>("/enrolment-codes")?,
            &["ID", "MACHINE", "REPOSITORY", "EXPIRES", "USED"],
            |code| {
                let text = |name: &str| code[name].as_str().unwrap_or_default().to_owned();
                [text("id"), text("machine"), text("repository"), time(&code["expires_ms"]), time(&code["used_ms"])]
            },
        ),
        EnrolmentCodeAction::Remove { id } => {
            api.delete(&format!("/enrolment-codes/{}", escape(id)))?;
            done(global, json!({ "removed": id }), format!("enrolment code {id} lets nobody in now"))
        }
    }
}

fn add_code(global: &GlobalArguments, api: &ServerApi, arguments: &CodeArguments) -> Result {
    let mut body = json!({ "expires_in_seconds": arguments.hours * 3600 });
    let machine = arguments.machine.as_ref().map(|name| id(api, "machines", "machine", name)).transpose()?;
    let group = arguments.group.as_ref().map(|name| id(api, "groups", "group", name)).transpose()?;
    let given =
        [("machine", &machine), ("name", &arguments.name), ("repository", &arguments.repository), ("group", &group)];
    for (name, value) in given {
        if let Some(value) = value {
            body[name] = json!(value);
        }
    }
    let made: Value = api.post("/enrolment-codes", &body)?;
    // The code is what was asked for: it is printed with --quiet too.
    match global.json {
        true => output::json(&made),
        false => output::line(made["code"].as_str().unwrap_or_default()),
    }
    Ok(Exit::Done)
}

fn list<const COLUMNS: usize>(
    global: &GlobalArguments,
    items: &[Value],
    headings: &[&str; COLUMNS],
    row: impl Fn(&Value) -> [String; COLUMNS],
) -> Result {
    if global.json {
        output::json(&items);
        return Ok(Exit::Done);
    }
    let mut table = Table::new(headings);
    items.iter().for_each(|item| table.row(row(item)));
    table.print();
    Ok(Exit::Done)
}

fn time(value: &Value) -> String {
    value.as_i64().map(units::time_of_ms).unwrap_or_default()
}

fn done(global: &GlobalArguments, value: Value, text: String) -> Result {
    if global.json {
        output::json(&value);
    } else if !global.quiet {
        output::line(text);
    }
    Ok(Exit::Done)
}
