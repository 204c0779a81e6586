//! The keys of an image for machines: collected with the repository's password, sealed to each machine's own key, and
//! left with the server.

use super::management::text;
use crate::arguments::GlobalArguments;
use crate::exit::{Failure, Result};
use crate::server_api::{ServerApi, escape, origin};
use crate::session::Session;
use holotype_repo::core::WriterId;
use holotype_repo::{ImageSelector, PreparedGrant};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// An image's keys, ready to be sealed.
pub struct GrantKeys {
    grant: PreparedGrant,
    repository: String,
}

/// Whether a machine could be given keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// It has them.
    Yes,
    /// It has no key of its own yet.
    NoKey,
}

impl GrantKeys {
    /// Opens the server's repository and collects the keys of an image.
    pub fn collect(
        global: &GlobalArguments,
        repository: &str,
        image: &ImageSelector,
        image_password_file: Option<&Path>,
    ) -> Result<Self> {
        let mut at_server = global.clone();
        at_server.repo = Some(PathBuf::from(format!("{}/{repository}", origin(global)?)));
        let session = Session::open(&at_server)?;
        let (image, password) = session.open_image(image, image_password_file)?;
        let grant = session.run(|repository, job| repository.prepare_grant(image.image, password.as_ref(), job))?;
        Ok(Self { grant, repository: repository.to_owned() })
    }

    /// Which image.
    pub fn image(&self) -> String {
        self.grant.image().to_string()
    }

    /// Seals them to a machine and leaves them with the server.
    pub fn give(&self, api: &ServerApi, machine: &Value) -> Result<Given> {
        let Some(key) = machine["public_key"].as_str() else { return Ok(Given::NoKey) };
        let name = text(machine, "name");
        let key: WriterId = key
            .parse()
            .map_err(|_| Failure::failed("invalid-key", format!("machine {name}: its key is none; enrol it anew")))?;
        let sealed = self.grant.for_machine(&key)?;
        let path = format!(
            "/machines/{}/grants/{}/{}/keys",
            text(machine, "id"),
            escape(&self.repository),
            self.grant.image()
        );
        api.put_bytes(&path, &sealed)?;
        Ok(Given::Yes)
    }
}
