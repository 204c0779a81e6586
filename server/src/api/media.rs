//! Boot media: made for one machine, handed out once.
//!
//! ```text
//! machine's name ──▶ profile with a fresh enrolment code ──▶ medium in a temporary file ──▶ code made good ──▶ answer
//! ```
//!
//! The code is made good last: a medium that could not be made leaves none behind.

use super::openapi::{ChangeRefusals, Refusals};
use super::shared::*;
use crate::access::{Principal, Role};
use crate::accounts::{LetsIn, insert_code, new_code};
use crate::boot_files;
use crate::database::blocking;
use crate::error::{ApiError, Code, Result};
use crate::extract::Path;
use crate::json::Json;
use crate::state::AppState;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use holotype_boot::disk::DataPartition;
use holotype_boot::initramfs::Modules;
use holotype_boot::kernel::{Kernel, ModuleSet};
use holotype_boot::loaders::Loaders;
use holotype_boot::medium::{Ingredients, MediumOptions, write_iso, write_uki, write_usb};
use holotype_boot::profile::{BootProfile, Console, Enrolment, Server, Style, Task};
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderMap, Uri};
use serde::Deserialize;
use std::fs::{self, File};
use std::io::Read;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(make_medium))
}

/// As long as enrolment codes may be good.
const MAX_LIFE_SECONDS: u64 = 30 * 24 * 3600;
const DEFAULT_LIFE_SECONDS: u64 = 7 * 24 * 3600;
const MIN_LIFE_SECONDS: u64 = 60;
const MAX_AGENT_BYTES: u64 = 256 << 20;
/// All of it goes over the network. The least is that of FAT32.
const MAX_DATA_BYTES: i64 = 64 << 30;
/// Bytes that are read at once.
const BLOCK_BYTES: usize = 256 << 10;
/// How long a request waits for others' media to be made.
const WAIT: Duration = Duration::from_secs(15);
/// What the names of temporary folders begin with.
const NEW_PREFIX: &str = "new-medium-";

/// What kind of medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum Product {
    /// Image for a stick or a disk.
    Usb,
    /// Image for a CD or a stick.
    Iso,
    /// One UEFI program, not signed.
    Uki,
}

/// What the machine does once booted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum MediumTask {
    /// It asks the server, and does it.
    #[default]
    Server,
    /// It shows its screens.
    Menu,
}

/// Where the machine shows its screens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum MediumConsole {
    /// Screen and first serial port.
    #[default]
    Both,
    /// The screen.
    Screen,
    /// The first serial port.
    Serial,
}

/// How many drivers the medium has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum MediumModules {
    /// Those of virtual machines with virtio.
    Virtio,
    /// Those of common PCs and virtual machines.
    #[default]
    Pc,
    /// Every disk, network and input driver.
    All,
}

/// A medium to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewMedium {
    product: Product,
    /// What the machine does once booted; it asks the server where nothing is said.
    #[serde(default)]
    task: MediumTask,
    /// How long the medium is used, and its enrolment code is good, up to 30 days; 7 days without it.
    #[schema(minimum = 60, maximum = 2592000)]
    expires_in_seconds: Option<u64>,
    #[serde(default)]
    console: MediumConsole,
    /// Keyboard layout, as `us` or `de`.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 32, pattern = "^[^\\s\\x00-\\x1f\\x7f-\\x9f]+$")]
    keyboard: Option<Text<32>>,
    /// With `usb`: an empty partition for backups, up to 64 GiB.
    #[schema(value_type = Option<i64>, minimum = 536870912, maximum = 68719476736_i64)]
    data_partition_bytes: Option<Count>,
    /// Version of the kernel; the newest without it.
    #[schema(value_type = Option<String>, max_length = 128, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    kernel: Option<Text<128>>,
    #[serde(default)]
    modules: MediumModules,
    /// `https://HOST:PORT` under which the machine reaches this server; that of this request without it.
    #[schema(value_type = Option<String>, max_length = 300, pattern = "^https://[^\\s/?#@\\x00-\\x1f\\x7f-\\x9f]+$")]
    url: Option<Text<300>>,
}

/// Removes what was being made when the server was killed. To be called before the server serves.
pub fn sweep_media(data_dir: &std::path::Path) {
    for entry in fs::read_dir(data_dir.join(boot_files::DIRECTORY)).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(NEW_PREFIX))
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::warn!(path = %entry.path().display(), "could not remove half a medium: {error}");
        }
    }
}

/// Makes a boot medium for a machine, and gives it. It enrols the machine's own key at the first boot, once: the key
/// that the machine had before, its tokens and what was granted to that key end then.
#[utoipa::path(post, path = "/machines/{id}/media", tag = "boot", operation_id = "make_medium",
    params(("id" = String, Path, description = "The machine")), request_body = NewMedium,
    responses((status = 200, description = "The medium", body = Vec<u8>, content_type = "application/octet-stream"),
        Refusals, ChangeRefusals))]
async fn make_medium(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    Json(new): Json<NewMedium>,
) -> Result<Response> {
    principal.require_user(Role::Operator)?;
    let (organisation, machine) = (principal.organisation.clone(), id.clone());
    let names = state.database.read(move |connection| {
        let sql = "SELECT m.name, o.name FROM machines m JOIN organisations o ON o.id = m.organisation
                   WHERE m.id = ?1 AND m.organisation = ?2";
        let names =
            connection.prepare_cached(sql)?.query_row([machine, organisation], |row| Ok((row.get(0)?, row.get(1)?)));
        one(names, "machine")
    });
    let (name, organisation_name): (String, String) = names.await?;
    let created_ms = state.clock.now_ms();
    let expires_ms = created_ms + life_ms(new.expires_in_seconds)?;
    let server = Server {
        url: url(new.url.as_ref().map(|url| url.0.as_str()), &uri, &headers)?,
        pin: state.boot_files.pin().ok_or_else(|| ApiError::internal("the server has no pin"))?.to_string(),
        organisation: Some(organisation_name),
        machine: Some(id.clone()),
        enrolment: Some(Enrolment { code: new_code()?, expires_ms }),
    };
    let code = server.enrolment.as_ref().map(|enrolment| enrolment.code.clone()).unwrap_or_default();
    let profile = profile(&new, name, server, expires_ms)?;
    let file_name = file_name(&profile.name, new.product);
    let (version, made) = make(&state, profile, &new).await?;
    let organisation = principal.organisation.clone();
    change(&state, &principal, move |transaction, journal| {
        require(transaction, Table::Machines, &organisation, &id)?;
        let lets_in = LetsIn { machine: Some(&id), ..LetsIn::default() };
        let code = insert_code(transaction, &organisation, &code, &lets_in, created_ms, expires_ms)?;
        let detail = format!("{:?} with kernel {version}, enrolment code {code}", new.product).to_lowercase();
        journal.note(transaction, "machine.medium-made", Some(&id), format!("machine {id}"), detail)
    })
    .await?;
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_LENGTH, made.bytes.to_string()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{file_name}\"")),
        // The code in it is good once.
        (CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, made.into_body()).into_response())
}

fn life_ms(asked: Option<u64>) -> Result<i64> {
    match asked.unwrap_or(DEFAULT_LIFE_SECONDS) {
        seconds @ MIN_LIFE_SECONDS..=MAX_LIFE_SECONDS => Ok(seconds as i64 * 1000),
        _ => Err(invalid(format!("expires_in_seconds: it has to be from {MIN_LIFE_SECONDS} to {MAX_LIFE_SECONDS}"))),
    }
}

/// Where the machine reaches this server: as it is said, or as whoever asks reached it.
fn url(said: Option<&str>, uri: &Uri, headers: &HeaderMap) -> Result<String> {
    if let Some(url) = said {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    // HTTP/2 has it in the request's target.
    let of_header = || headers.get(HOST).and_then(|host| host.to_str().ok()?.parse().ok());
    let authority = uri.authority().cloned().or_else(of_header);
    let authority = authority.ok_or_else(|| invalid("url: give it, as https://HOST:PORT"))?;
    let host = authority.host().trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if is_here {
        let why =
            format!("url: {host} is this host alone; give the https://HOST:PORT under which the machine reaches it");
        return Err(invalid(why));
    }
    Ok(format!("https://{authority}"))
}

fn profile(new: &NewMedium, name: String, server: Server, expires_ms: i64) -> Result<BootProfile> {
    let mut profile = BootProfile::new(name, Style::Network);
    profile.server = Some(server);
    profile.expires_ms = Some(expires_ms);
    profile.task = match new.task {
        MediumTask::Server => Task::Server,
        MediumTask::Menu => Task::Menu,
    };
    profile.console = match new.console {
        MediumConsole::Both => Console::Both,
        MediumConsole::Screen => Console::Screen,
        MediumConsole::Serial => Console::Serial,
    };
    profile.keyboard = new.keyboard.as_ref().map(|keyboard| keyboard.0.clone());
    profile.check().map_err(invalid)?;
    match new.data_partition_bytes {
        Some(_) if new.product != Product::Usb => {
            Err(invalid("data_partition_bytes: only a medium for a stick can have such a partition"))
        }
        Some(bytes) if bytes.0 > MAX_DATA_BYTES => Err(invalid(
            "data_partition_bytes: at most 64 GiB go over the network; make it with `holotype boot create`",
        )),
        _ => Ok(profile),
    }
}

/// A name that no system stumbles over.
fn file_name(machine: &str, product: Product) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || "-_.".contains(letter) { letter } else { '-' };
    let name: String = machine.chars().map(plain).collect();
    let ending = match product {
        Product::Usb => "img",
        Product::Iso => "iso",
        Product::Uki => "efi",
    };
    format!("{}.{ending}", name.trim_start_matches('.'))
}

/// A medium in a folder that goes when it is dropped.
struct Made {
    file: File,
    bytes: u64,
    folder: TempDir,
}

/// Makes it, when it is its turn; gives the kernel's version too.
async fn make(state: &AppState, profile: BootProfile, new: &NewMedium) -> Result<(String, Made)> {
    let turn = tokio::time::timeout(WAIT, state.boot_files.makers().acquire_owned()).await;
    let busy = || ApiError::new(Code::Unavailable, "other media are being made").retry_after_seconds(30);
    let turn = turn.map_err(|_| busy())?.map_err(|_| busy())?;
    let kernel = new.kernel.as_ref().map(|version| version.0.clone());
    let data =
        new.data_partition_bytes.map_or(DataPartition::None, |bytes| DataPartition::Bytes(bytes.0.unsigned_abs()));
    let modules = match new.modules {
        MediumModules::Virtio => ModuleSet::Virtio,
        MediumModules::Pc => ModuleSet::Pc,
        MediumModules::All => ModuleSet::All,
    };
    let (state, product) = (state.clone(), new.product);
    blocking(move || {
        let _turn = turn;
        let kernel = find_kernel(&state, kernel.as_deref())?;
        let agent = read_agent(&state)?;
        let failed = |error: holotype_boot::BootError| failed(&state, &error);
        let options = MediumOptions {
            profile: &profile,
            kernel: &kernel,
            modules: Modules::Set(modules),
            agent: &agent,
            firmware: None,
            loaders: Loaders::default(),
        };
        let ingredients = Ingredients::make(&options).map_err(failed)?;
        if let Some(why) = &ingredients.no_shell {
            tracing::warn!("{why}; the medium has no rescue shell (F9), install the package busybox-static for one");
        }
        let folder = tempfile::Builder::new().prefix(NEW_PREFIX).tempdir_in(state.boot_files.folder());
        let folder = folder.map_err(|error| ApiError::internal(format!("medium: no temporary folder: {error}")))?;
        let path = folder.path().join("medium");
        let bytes = match product {
            Product::Usb => write_usb(&ingredients, data, &path),
            Product::Iso => write_iso(&ingredients, &path),
            Product::Uki => write_uki(&ingredients, &path),
        };
        let bytes = bytes.map_err(failed)?;
        let file = File::open(&path).map_err(|error| ApiError::internal(format!("medium: it is gone: {error}")))?;
        Ok((kernel.version().to_owned(), Made { file, bytes, folder }))
    })
    .await
}

/// What is missing on the server is told to the operator, who may mend it; where it stands is not.
fn failed(state: &AppState, error: &holotype_boot::BootError) -> ApiError {
    tracing::warn!("a boot medium could not be made: {error}");
    let text = error.to_string().replace(&*state.data_dir.to_string_lossy(), "DIR");
    conflict(format!("the medium could not be made: {text}"))
}

fn find_kernel(state: &AppState, version: Option<&str>) -> Result<Kernel> {
    let kernels = state.boot_files.kernels().list().map_err(|error| failed(state, &error))?;
    let there = kernels.iter().map(Kernel::version).collect::<Vec<_>>().join(", ");
    let advice = "take one in on the server: holotype boot kernel add linux-image-….deb --kernels DIR/boot/kernels, \
                  where DIR is the server's directory";
    let found = match version {
        Some(version) => kernels.iter().find(|kernel| kernel.version() == version),
        None => kernels.last(),
    };
    found.cloned().ok_or_else(|| match (version, kernels.is_empty()) {
        (Some(version), false) => conflict(format!("the server has no kernel {version}; it has {there}")),
        _ => conflict(format!("the server has no kernel to make media with; {advice}")),
    })
}

fn read_agent(state: &AppState) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(state.boot_files.agent()).and_then(|file| file.take(MAX_AGENT_BYTES).read_to_end(&mut bytes));
    read.map_err(|error| {
        tracing::warn!(path = %state.boot_files.agent().display(), "the agent cannot be read: {error}");
        conflict(format!(
            "the server has no agent to make media with: {error}; put the static holotype-agent on the server as \
             DIR/boot/agent, where DIR is the server's directory, or start it with --agent FILE"
        ))
    })?;
    Ok(bytes)
}

impl Made {
    fn into_body(self) -> Body {
        let file = tokio::fs::File::from_std(self.file);
        // The folder goes with the last block, or with whoever no longer listens.
        Body::from_stream(stream::unfold((file, self.folder), |(mut file, folder)| async move {
            let mut block = vec![0; BLOCK_BYTES];
            match file.read(&mut block).await {
                Ok(0) => None,
                Ok(length) => {
                    block.truncate(length);
                    Some((Ok(Bytes::from(block)), (file, folder)))
                }
                Err(error) => Some((Err(error), (file, folder))),
            }
        }))
    }
}
