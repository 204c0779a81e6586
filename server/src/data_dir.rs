//! stub
use crate::serve::StartError;
use std::path::{Path, PathBuf};
/// x
pub struct DataDir(PathBuf);
/// x
pub struct DataLock;
impl DataDir {
    /// x
    pub fn open_or_create(p: &Path) -> Result<Self, StartError> {
        std::fs::create_dir_all(p.join("tls")).map_err(|e| StartError::new(e.to_string()))?;
        Ok(Self(p.to_owned()))
    }
    /// x
    pub fn lock(&self) -> Result<DataLock, StartError> {
        Ok(DataLock)
    }
    /// x
    pub fn database(&self) -> PathBuf {
        self.0.join("holotype.sqlite")
    }
    /// x
    pub fn tls(&self) -> PathBuf {
        self.0.join("tls")
    }
}
