//! Who asks, and what they may do.

use crate::error::{ApiError, Code, Result};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A user's role in an organisation. Each may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees machines, tasks, images and events; changes nothing and reads no data.
    Viewer,
    /// Also manages machines, groups and tasks, backs up and restores.
    Operator,
    /// Also manages users, tokens, repositories and storages, and deletes.
    Admin,
}

/// Who a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A user, by password or token.
    User {
        /// Which one.
        id: String,
        /// What they may do.
        role: Role,
    },
    /// A machine, by its key or token.
    Machine {
        /// Which one.
        id: String,
    },
}

/// A request's author, authenticated. Everything it touches belongs to its organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The organisation; nothing of another is seen.
    pub organisation: String,
    /// Who.
    pub actor: Actor,
    /// The token it came with.
    pub token: String,
    /// For the audit trail: where from.
    pub address: std::net::IpAddr,
}

impl Principal {
    /// As the audit trail names it: `user ID` or `machine ID`.
    pub fn name(&self) -> String {
        match &self.actor {
            Actor::User { id, .. } => format!("user {id}"),
            Actor::Machine { id } => format!("machine {id}"),
        }
    }
}

impl Principal {
    /// The user, where it is one of at least this role.
    ///
    /// # Errors
    /// `NotAllowed` for machines and lower roles.
    pub fn require_user(&self, least: Role) -> Result<&str> {
        match &self.actor {
            Actor::User { id, role } if *role >= least => Ok(id),
            _ => Err(ApiError::new(Code::NotAllowed, format!("only users of role {least} may do that"))),
        }
    }

    /// The machine, where it is one.
    ///
    /// # Errors
    /// `NotAllowed` for users.
    pub fn require_machine(&self) -> Result<&str> {
        match &self.actor {
            Actor::Machine { id } => Ok(id),
            Actor::User { .. } => Err(ApiError::new(Code::NotAllowed, "only machines may do that")),
        }
    }
}

impl Role {
    /// The role of this name.
    pub fn from_word(word: &str) -> Option<Self> {
        [Role::Viewer, Role::Operator, Role::Admin].into_iter().find(|role| role.to_string() == word)
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        })
    }
}
