//! Every screen of backup and restore, by keystrokes, on real files.

use crate::console::Sitting;
use crate::support::{Workspace, noise};
use std::fs;
use std::process::Command;

const ENTER: &str = "\r";
const DOWN: &str = "\x1b[B";
const PASSWORD: &str = "correct horse battery";

/// A file with a real ext4 in it, or noise where there is no mkfs.
fn disk(workspace: &Workspace) -> Vec<u8> {
    fs::create_dir_all(workspace.path("content")).unwrap();
    workspace.write("content/file", noise(3, 3 << 20));
    let image = workspace.write("source.img", vec![0; 24 << 20]);
    let made = Command::new("mkfs.ext4")
        .args(["-q", "-F", "-L", "system", "-d"])
        .arg(workspace.path("content"))
        .arg(&image)
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .status();
    if !made.is_ok_and(|status| status.success()) {
        eprintln!("no mkfs.ext4 here: a disk without a filesystem");
        workspace.write("source.img", noise(4, 4 << 20));
    }
    fs::read(image).unwrap()
}

/// A backup by hand to `repo`.
fn back_up(workspace: &Workspace) -> bool {
    let Some(mut sitting) = Sitting::start(workspace, "--disk source.img --folder repo --state-dir state") else {
        return false;
    };
    sitting.see("Back up this PC").press(ENTER).see("which disk?").see("source.img").see("ext4").press(ENTER);
    sitting.see("where to?").see("/repo").press(ENTER).see("There is no repository yet").press(ENTER);
    sitting.see("Choose a password").press("short\rshort\r").see("take 8 or more").press("\x15");
    sitting.press(PASSWORD).press(ENTER).press("\x15").press(PASSWORD).press(ENTER);
    sitting.see("this will happen").see("source.img").press(ENTER);
    sitting.see("everything was done").see("Image");
    assert!(!sitting.screen().contains(PASSWORD));
    sitting.press(DOWN).press(ENTER);
    assert_eq!(sitting.end(), 0);
    true
}

fn with_password(workspace: &Workspace, arguments: &[&str]) -> crate::support::Run {
    let mut command = workspace.command(arguments);
    command.env("HOLOTYPE_PASSWORD", PASSWORD).env("HOLOTYPE_REPO", workspace.path("repo"));
    crate::support::finish(command.spawn().unwrap())
}

/// From the start menu to the place's password.
fn to_password<'a>(sitting: &'a mut Sitting, password: &str) -> &'a mut Sitting {
    sitting.see("Back up this PC").press(DOWN).press(ENTER).see("where from?").press(ENTER);
    sitting.see("ends this restore").press(password).press(ENTER)
}

#[test]
fn backup_and_restore_by_hand() {
    let workspace = Workspace::empty();
    let source = disk(&workspace);
    if !back_up(&workspace) {
        return;
    }
    let images = with_password(&workspace, &["images", "--json"]).expect(0).json();
    assert_eq!((images.as_array().unwrap().len(), &images[0]["name"]), (1, &serde_json::json!("pc")));
    with_password(&workspace, &["verify", "--read-data"]).expect(0);
    assert_eq!(workspace.read("source.img"), source, "the source is only read");

    // Onto a new file, read back.
    let arguments = "--disk target.img --folder repo --state-dir state";
    let mut sitting = Sitting::start(&workspace, arguments).unwrap();
    to_password(&mut sitting, PASSWORD).see("which image?").see("pc").press(ENTER);
    sitting.see("onto which disk?").see("target.img").press(ENTER).see("this will happen").press("v").see("[x] V");
    sitting.press(ENTER).see("Restore: everything was done").see("as it should be").press(DOWN).press(ENTER);
    assert_eq!(sitting.end(), 0);
    let restored = with_password(&workspace, &["restore", "pc", "-"]).expect(0).stdout;
    assert!(workspace.read("target.img") == restored, "as the command restores it");

    // Onto one that holds something: it asks, and writes in place.
    workspace.write("target.img", noise(9, source.len()));
    let mut sitting = Sitting::start(&workspace, arguments).unwrap();
    to_password(&mut sitting, PASSWORD).see("which image?").press(ENTER).see("onto which disk?").press(ENTER);
    sitting.see("EVERYTHING on target.img").press("target\r").see("neither").press("\x15").press("target.img\r");
    sitting.see("will be lost").press(ENTER).see("Restore: everything was done").press(DOWN).press(ENTER);
    assert_eq!(sitting.end(), 0);
    let check = Command::new("e2fsck").args(["-fn"]).arg(workspace.path("target.img")).output();
    if let Ok(check) = check {
        assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
    }
}

#[test]
fn a_wrong_password_ends_before_the_target_is_opened() {
    let workspace = Workspace::empty();
    disk(&workspace);
    if !back_up(&workspace) {
        return;
    }
    let target = workspace.write("target.img", noise(7, 1 << 20));
    let before = (fs::read(&target).unwrap(), fs::metadata(&target).unwrap().modified().unwrap());
    let mut sitting = Sitting::start(&workspace, "--disk target.img --folder repo --state-dir state").unwrap();
    to_password(&mut sitting, "a wrong password").see("The password is wrong").see("was opened or changed");
    let screen = sitting.screen();
    assert!(!screen.contains("Try again") && !screen.contains("start menu"), "{screen}");
    // Esc and Ctrl-C lead nowhere; the only way is out.
    sitting.press("\x1b").press("\x03").press(ENTER);
    assert_eq!(sitting.end(), 0);
    assert!(before == (fs::read(&target).unwrap(), fs::metadata(&target).unwrap().modified().unwrap()));
}
