//! Where passwords come from, and wrong ones.

use crate::support::{PASSWORD, Workspace, small_disk};

fn with_image() -> Workspace {
    let workspace = Workspace::new();
    workspace.write("disk", small_disk(1));
    workspace.run(["backup", "disk", "--name", "a"]).expect(0);
    workspace
}

#[test]
fn each_source_of_passwords_opens() {
    let workspace = Workspace::new();
    workspace.write("password", format!("{PASSWORD}\nsecond line"));
    workspace.write("wrong", "wrong");
    workspace.run_without_password(["images", "--password-file", "password"]).expect(0);
    workspace.run_without_password(["images", "--password-command", "cat password"]).expect(0);
    let mut command = workspace.command(["images"]);
    command.env_remove("HOLOTYPE_PASSWORD").env("HOLOTYPE_PASSWORD_FILE", workspace.path("password"));
    assert!(command.status().unwrap().success());
    // Options go before the environment.
    workspace.run(["images", "--password-file", "wrong"]).refused(5, &["no key slot opens"]);
    workspace.run(["images", "--password-command", "exit 3"]).refused(1, &["exit status: 3"]);
    workspace.run(["images", "--password-file", "missing"]).refused(1, &["missing"]);
    workspace.write("nothing", "\n");
    workspace.run(["images", "--password-file", "nothing"]).refused(2, &["first line is empty"]);
    workspace.run_without_password(["images"]).refused(2, &["--password-file", "--key-file", "no terminal"]);
    workspace.run_without_password(["init", "--repo", "new"]).refused(2, &["--password-file"]);
    assert!(!workspace.path("new").exists(), "nothing was made");
}

#[test]
fn a_wrong_password_leaves_the_target_alone() {
    let workspace = with_image();
    workspace.write("wrong", "wrong");
    workspace.write("target", "precious");
    let before = std::fs::metadata(workspace.path("target")).unwrap().modified().unwrap();
    let arguments = ["restore", "a", "target", "--overwrite", "--password-file", "wrong"];
    workspace.run(arguments).refused(5, &["no key slot opens"]);
    assert_eq!(workspace.read("target"), b"precious");
    assert_eq!(std::fs::metadata(workspace.path("target")).unwrap().modified().unwrap(), before);
    // The password is looked at before the target: else this were a refusal, 6.
    workspace.run(["restore", "a", "target", "--password-file", "wrong"]).expect(5);
    workspace.run(["restore", "nothing", "target"]).expect(7);
    workspace.run(["restore", "a", "new-target", "--password-file", "wrong"]).expect(5);
    assert!(!workspace.path("new-target").exists());
}

#[test]
fn an_image_password_is_demanded() {
    let workspace = Workspace::new();
    let disk = small_disk(2);
    workspace.write("disk", &disk);
    workspace.write("own", "its own");
    workspace.write("wrong", "wrong");
    workspace.write("target", "precious");
    let backup = ["backup", "disk", "--name", "a", "--image-password-file", "own", "--fast-derivation"];
    workspace.run(backup).expect(0);
    workspace.run(["show", "a"]).refused(5, &["password of its own", "--image-password-file"]);
    for arguments in [&["restore", "a", "target", "--overwrite"][..], &["restore", "a", "new"][..]] {
        workspace.run(arguments).refused(5, &["--image-password-file"]);
        let wrong = [arguments, &["--image-password-file", "wrong"]].concat();
        workspace.run(wrong).refused(5, &["own password is another"]);
    }
    assert_eq!(workspace.read("target"), b"precious");
    assert!(!workspace.path("new").exists());
    workspace.run(["restore", "a", "target", "--overwrite", "--image-password-file", "own"]).expect(0);
    assert!(workspace.read("target") == disk);
    assert!(workspace.run(["images"]).expect(0).text().contains("own password"));
    workspace.verify_clean();
}
