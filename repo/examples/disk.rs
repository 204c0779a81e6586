//! Times backup and restore without a front end: `disk REPO backup SOURCE NAME | restore NAME TARGET`.

use holotype_repo::disk::Target;
use holotype_repo::store::LocalStore;
use holotype_repo::{BackupOptions, Credentials, ImageSelector, InitOptions, Job, Repository, RestoreOptions, os};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let (root, credentials) = (Path::new(&arguments[1]), Credentials::password("password"));
    let cache = root.with_extension("cache");
    let repository = if root.exists() {
        Repository::open_cached(LocalStore::open(root)?, &credentials, &cache)?
    } else {
        Repository::init_shared(
            std::sync::Arc::new(LocalStore::create(root)?),
            &InitOptions::new(credentials),
            Some(&cache),
        )?
    };
    match arguments[2].as_str() {
        "backup" => {
            let source = os::open_source(&arguments[3])?;
            println!("{:#?}", repository.backup(&*source, &BackupOptions::named(&arguments[4]), &Job::new())?);
        }
        _ => {
            let target: Box<dyn Target> = match arguments[4].as_str() {
                "-" => Box::new(os::StdoutTarget::stdout()),
                path => os::open_target(path, os::Overwrite::Confirmed)?,
            };
            let image: ImageSelector = arguments[3].parse()?;
            eprintln!("{:#?}", repository.restore(image, &*target, &RestoreOptions::default(), &Job::new())?);
        }
    }
    Ok(())
}
