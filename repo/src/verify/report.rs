//! What a verify found.

use holotype_core::ImageId;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The object.
    pub object: String,
    /// What is wrong.
    pub problem: String,
    /// Images that need it, by id.
    pub images: BTreeSet<ImageId>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.problem)?;
        if self.images.is_empty() {
            return f.write_str(" (no image needs it)");
        }
        let images: Vec<String> = self.images.iter().map(ImageId::short).collect();
        write!(f, " (images that need it: {})", images.join(", "))
    }
}

/// What a verify looked at and found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct VerifyReport {
    /// Objects looked at.
    pub objects: u64,
    /// Images walked.
    pub images: u64,
    /// Packs whose footers were checked.
    pub packs: u64,
    /// Packs that were read whole.
    pub packs_read: u64,
    /// Bytes that were read of them.
    pub read_bytes: u64,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl VerifyReport {
    /// What was found.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Adds a finding and gives its number.
    pub(crate) fn find(&mut self, object: String, problem: String) -> usize {
        self.findings.push(Finding { object, problem, images: BTreeSet::new() });
        self.findings.len() - 1
    }
}
