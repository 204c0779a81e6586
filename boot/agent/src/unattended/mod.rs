//! Work that nobody sits before: by the medium's profile, or by the server's tasks.

mod tasks;

use crate::screens::{BackupOrder, Finished, ImageView, Location, RestoreOrder};
use crate::work::{Telling, Worker, disks};
use holotype_boot::profile::{BootProfile, DiskChoice, Task};

/// What will be done without asking, in a sentence; absent where the menu is shown.
pub fn announcement(profile: &BootProfile) -> Option<String> {
    let disk = |choice: &DiskChoice| match choice {
        DiskChoice::Only => "the disk of this PC".to_owned(),
        DiskChoice::First => "the first disk of this PC".to_owned(),
        DiskChoice::Serial(serial) => format!("the disk with the serial number {serial}"),
    };
    match &profile.task {
        Task::Menu => None,
        Task::Server => Some("This PC asks the server what to do, and does it.".to_owned()),
        Task::Backup { disk: choice, .. } => Some(format!("A backup of {} will be made.", disk(choice))),
        Task::Restore { disk: choice, image, .. } => {
            Some(format!("Image {} will be written to {}. What is on it will be lost.", &short(image), disk(choice)))
        }
    }
}

fn short(image: &str) -> String {
    image.chars().take(8).collect()
}

/// Does what the profile says.
///
/// # Errors
/// In a sentence.
pub(crate) fn run(worker: &mut Worker, telling: &Telling) -> Result<Finished, String> {
    let profile = worker.setup.profile.clone().ok_or("the medium has no profile, so it is not said what to do")?;
    worker.connect(telling)?;
    let cancelled = || telling.cancel.is_cancelled();
    if worker.setup.files.is_empty() {
        crate::system::disks::wait(&mut |step| telling.step(step), &cancelled);
    }
    match &profile.task {
        Task::Menu => Err("the medium is for the menu; choose there".to_owned()),
        Task::Server => tasks::run(worker, telling),
        Task::Backup { place, disk, image_name, .. } => {
            let disks = disks::list(&worker.setup.files)?;
            let disk = disks::choose(&disks, disk)?.clone();
            let name = image_name.clone().unwrap_or_else(|| image_name_of(&profile.name));
            let order = BackupOrder { disk, name, image_password: None };
            worker.backup_unattended(&Location::Place(place.clone()), &order, telling).map(|done| done.finished())
        }
        Task::Restore { place, image, disk } => {
            let disks = disks::list(&worker.setup.files)?;
            let target = disks::choose(&disks, disk)?.clone();
            let image = ImageView { id: image.clone(), ..ImageView::default() };
            let order = RestoreOrder { image, target, image_password: None, verify: false };
            worker.restore_unattended(&Location::Place(place.clone()), &order, telling).map(|done| done.finished())
        }
    }
}

/// A name for images of a PC of this name: what images cannot have becomes a dash.
pub fn image_name_of(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._/-".contains(c);
    let name: String = name.trim().chars().map(|c| if fits(c) { c } else { '-' }).collect();
    if holotype_repo::image::valid_name(&name) { name } else { "pc".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_pcs_become_names_of_images() {
        assert_eq!(image_name_of("pc-07"), "pc-07");
        assert_eq!(image_name_of(" Büro 3 "), "B-ro-3");
        assert_eq!(image_name_of(""), "pc");
    }
}
