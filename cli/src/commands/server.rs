//! `holotype server`.

use crate::arguments::{
    DatabaseAction, GlobalArguments, OrgAction, ServerAction, ServerArguments, ServerRepositoryAction, ServerUserAction,
};
use crate::exit::{Exit, Failure, Result};
use crate::output::{self, Table};
use crate::{passwords, units};
use holotype_server::access::Role;
use holotype_server::data_dir::DataDir;
use holotype_server::database::Database;
use holotype_server::error::{ApiError, Code};
use holotype_server::provider;
use holotype_server::text::{Name, SecretText};
use serde_json::json;

/// Does it.
pub fn run(global: &GlobalArguments, arguments: &ServerArguments) -> Result {
    let path = arguments
        .data
        .as_deref()
        .filter(|path| !path.as_os_str().is_empty())
        .ok_or_else(|| Failure::usage("server's directory: none is given; give --data DIR or set HOLOTYPE_DATA"))?;
    // A mistyped directory must not become a new server's.
    let data = match &arguments.action {
        ServerAction::Org(OrgAction::Add { .. }) | ServerAction::Database(DatabaseAction::Restore { .. }) => {
            DataDir::create(path)
        }
        _ => DataDir::open(path),
    };
    let data = data.map_err(|why| Failure::failed("io", why))?;
    match &arguments.action {
        ServerAction::Org(action) => organisations(global, &data, action),
        ServerAction::Repository(action) => repositories(global, &data, action),
        ServerAction::User(ServerUserAction::Add { name, org, role }) => {
            let (organisation, name) = (self::name(org)?, self::name(name)?);
            let role = Role::from_word(role.word()).ok_or_else(|| Failure::usage("role: there is no such"))?;
            let password = passwords::new(global.password_file.as_deref(), "--password-file")?;
            let password = passwords::text(&password)?;
            let secret: SecretText = password.to_string().try_into().map_err(Failure::usage)?;
            let id = provider::add_user(&database(&data)?, &organisation, &name, role, &secret).map_err(failure)?;
            done(global, json!({ "id": id }), format!("made user {name} ({role}) of {organisation}"))
        }
        ServerAction::Database(DatabaseAction::Backup { file }) => {
            let summary = provider::back_up(&data, file).map_err(failure)?;
            let rows: u64 = summary.rows.values().sum();
            let text =
                format!("{}: {rows} rows of version {}, read back and compared", file.display(), summary.version);
            done(global, json!(summary), text)
        }
        ServerAction::Database(DatabaseAction::Restore { file }) => {
            let restored = provider::restore(&data, file).map_err(failure)?;
            let mut text = "restored; everybody logs in again, unused enrolment codes are void, and tokens that were \
                revoked after the backup are good again: revoke them anew"
                .to_owned();
            if let Some(old) = &restored.old {
                text = format!("{text}; the old database is {}", old.display());
            }
            done(global, json!(restored), text)
        }
    }
}

fn organisations(global: &GlobalArguments, data: &DataDir, action: &OrgAction) -> Result {
    match action {
        OrgAction::Add { name } => {
            let database = Database::open(&data.database()).map_err(failure)?;
            let made = provider::add_organisation(&database, &self::name(name)?).map_err(failure)?;
            done(global, json!(made), format!("made organisation {name}"))
        }
        OrgAction::List => {
            let all = provider::organisations(&database(data)?).map_err(failure)?;
            if global.json {
                output::json(&all);
                return Ok(Exit::Done);
            }
            let mut table = Table::new(&["NAME", "MADE", "ID"]);
            for one in all {
                table.row([one.name, units::time_of_ms(one.created_ms), one.id]);
            }
            table.print();
            Ok(Exit::Done)
        }
    }
}

fn repositories(global: &GlobalArguments, data: &DataDir, action: &ServerRepositoryAction) -> Result {
    let database = database(data)?;
    match action {
        ServerRepositoryAction::Add { name, org, dir } => {
            let organisation = self::name(org)?;
            let made = provider::add_repository(data, &database, &organisation, name, dir.as_deref());
            let made = made.map_err(failure)?;
            let text = format!("repository {name} of {org} is in {}", made.directory.display());
            done(global, json!(made), text)
        }
        ServerRepositoryAction::List => {
            let all = provider::repositories(&database).map_err(failure)?;
            if global.json {
                output::json(&all);
                return Ok(Exit::Done);
            }
            let mut table = Table::new(&["ORGANISATION", "NAME", "DIRECTORY"]);
            for one in all {
                table.row([one.organisation, one.name, one.directory.display().to_string()]);
            }
            table.print();
            Ok(Exit::Done)
        }
        ServerRepositoryAction::Remove { name, org } => {
            let left = provider::remove_repository(&database, &self::name(org)?, name).map_err(failure)?;
            done(global, json!({ "directory": left }), format!("forgot {name}; its data is left in {}", left.display()))
        }
    }
}

fn database(data: &DataDir) -> Result<Database> {
    let path = data.database();
    if !path.is_file() {
        let why = format!("{}: there is no database; look at --data, or start `holotype serve` once", path.display());
        return Err(Failure::failed("not-found", why));
    }
    Database::open(&path).map_err(failure)
}

fn name(text: &str) -> Result<Name> {
    Name::try_from(text.to_owned()).map_err(|why| Failure::usage(format!("{text:?}: {why}")))
}

fn failure(error: ApiError) -> Failure {
    let kind = match error.code() {
        Code::InvalidRequest => return Failure::usage(error.to_string()),
        Code::NotFound => "not-found",
        Code::Conflict => "conflict",
        Code::Damaged => "damaged",
        Code::NoSpace => "no-space",
        _ => "failed",
    };
    Failure::failed(kind, error.to_string())
}

fn done(global: &GlobalArguments, value: serde_json::Value, text: String) -> Result {
    if global.json {
        output::json(&value);
    } else if !global.quiet {
        output::line(text);
    }
    Ok(Exit::Done)
}
