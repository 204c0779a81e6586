//! Where the repository of the command line is: a directory, or a server.

use crate::arguments::GlobalArguments;
use crate::exit::{Failure, Result};
use crate::token_file;
use holotype_repo::https::Endpoint;
use holotype_repo::remote::HttpsStore;
use holotype_repo::store::{Folder, LocalStore};
use holotype_repo::{ErrorKind, Store};
use std::path::Path;
use std::sync::Arc;

const SCHEME: &str = "https://";

/// What `--repo` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// A directory of this machine.
    Directory(&'a Path),
    /// A repository on a server: `https://HOST:PORT` and its name.
    Server {
        /// Which server.
        origin: &'a str,
        /// Which of its repositories.
        name: &'a str,
    },
}

impl<'a> Place<'a> {
    /// The place of `--repo` or HOLOTYPE_REPO.
    ///
    /// # Errors
    /// Where none is given, or an address that is none.
    pub fn of(global: &'a GlobalArguments) -> Result<Self> {
        let path = global.repo.as_deref().filter(|path| !path.as_os_str().is_empty()).ok_or_else(|| {
            Failure::usage("repository: none is given; give --repo PATH or https://HOST/NAME, or set HOLOTYPE_REPO")
        })?;
        let Some(rest) = path.to_str().and_then(|text| text.strip_prefix(SCHEME)) else {
            return Ok(Self::Directory(path));
        };
        let address = path.to_str().unwrap_or_default();
        match rest.trim_end_matches('/').split_once('/') {
            Some((authority, name)) if !authority.is_empty() && !name.contains('/') => {
                Ok(Self::Server { origin: &address[..SCHEME.len() + authority.len()], name })
            }
            _ => Err(Failure::usage(format!("{address}: is no repository on a server; give https://HOST:PORT/NAME"))),
        }
    }

    /// The directory, where it is one.
    pub fn directory(self) -> Option<&'a Path> {
        match self {
            Self::Directory(path) => Some(path),
            Self::Server { .. } => None,
        }
    }

    /// The store that is there.
    ///
    /// # Errors
    /// Where there is none, or it cannot be reached.
    pub fn open(self, global: &GlobalArguments) -> Result<Arc<dyn Store>> {
        match self {
            Self::Directory(path) => Ok(Arc::new(LocalStore::open(path)?)),
            Self::Server { origin, name } => Ok(Arc::new(HttpsStore::open(endpoint(origin, global)?, name)?)),
        }
    }

    /// Whether there is a repository.
    ///
    /// # Errors
    /// Where it cannot be looked at.
    pub fn holds_repository(self, global: &GlobalArguments) -> Result<bool> {
        let store: Arc<dyn Store> = match self {
            Self::Directory(path) => match LocalStore::open(path) {
                Ok(store) => Arc::new(store),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error.into()),
            },
            Self::Server { .. } => self.open(global)?,
        };
        Ok(!store.list(Folder::Config)?.is_empty())
    }
}

fn endpoint(origin: &str, global: &GlobalArguments) -> Result<Endpoint> {
    let token = token_file::read(global)?.ok_or_else(|| {
        let advice = "log in with `holotype login`, give --token-file FILE or set HOLOTYPE_TOKEN_FILE";
        Failure::usage(format!("token: none is given; {advice}"))
    })?;
    Ok(Endpoint { origin: origin.to_owned(), pin: global.server_pin, token: Some(token) })
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::Server { origin, name } => write!(f, "{origin}/{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Cli;
    use clap::Parser;

    fn shown(repo: &str) -> Option<String> {
        let cli = Cli::try_parse_from(["holotype", "stats", "--repo", repo]).unwrap();
        Place::of(&cli.global).ok().map(|place| format!("{:?}", place))
    }

    #[test]
    fn addresses_are_told_from_paths() {
        let server = |origin: &str, name: &str| format!("Server {{ origin: \"{origin}\", name: \"{name}\" }}");
        assert_eq!(shown("https://host:8440/lab"), Some(server("https://host:8440", "lab")));
        assert_eq!(shown("https://host/lab/"), Some(server("https://host", "lab")));
        assert_eq!(shown("https:/host/lab"), Some("Directory(\"https:/host/lab\")".to_owned()));
        for bad in ["https://", "https://host", "https://host/", "https:///lab", "https://host/a/b"] {
            assert_eq!(shown(bad), None, "{bad}");
        }
    }
}
