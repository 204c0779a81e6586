//! Two images side by side.

use crate::support::{Workspace, noise, small_disk};

#[test]
fn differences_are_shown_and_are_no_failure() {
    let workspace = Workspace::new();
    let mut disk = small_disk(1);
    workspace.write("disk", &disk);
    workspace.run(["backup", "disk", "--name", "a"]).expect(0);
    disk[100_000..104_096].copy_from_slice(&noise(7, 4096));
    disk.extend(noise(8, 1 << 20));
    workspace.write("disk", &disk);
    workspace.run(["backup", "disk", "--name", "b"]).expect(0);

    let same = workspace.run(["diff", "a", "a", "--json"]).expect(0).json();
    assert!(same["changed_bytes"] == 0 && same["ranges"].as_array().unwrap().is_empty(), "{same}");
    let report = workspace.run(["diff", "a", "b", "--json"]).expect(0).json();
    assert!(report["changed_bytes"].as_u64().unwrap() >= 4096, "{report}");
    assert!(report["became_used_bytes"].as_u64().unwrap() >= 1 << 20, "{report}");
    assert_eq!(report["volumes"][0]["title"], "the whole disk");
    assert_eq!(report["layout"][0]["kind"], "resized");
    let first = &report["ranges"][0];
    assert!(first["kind"] == "changed" && first["offset_bytes"].as_u64().unwrap() <= 100_000, "{report}");

    let text = workspace.run(["diff", "a", "b"]).expect(0).text();
    for part in ["The second disk is 1048576 bytes longer.", "the whole disk", "BECAME USED", "in all"] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    assert!(!text.contains("OFFSET"), "{text}");
    let text = workspace.run(["diff", "a", "b", "--ranges"]).expect(0).text();
    assert!(text.contains("OFFSET") && text.contains("became used"), "{text}");

    workspace.run(["diff", "a", "missing"]).refused(7, &["missing"]);
    workspace.run(["diff", "a"]).expect(2);
}

#[test]
fn images_with_passwords_of_their_own() {
    let workspace = Workspace::new();
    workspace.write("disk", small_disk(1));
    for name in ["a", "b"] {
        workspace.write(name, name);
        workspace.run(["backup", "disk", "--name", name, "--image-password-file", name, "--fast-derivation"]).expect(0);
    }
    workspace.run(["diff", "a", "b"]).refused(5, &["password of its own"]);
    workspace.run(["diff", "a", "b", "--image-password-file", "a"]).expect(5);
    let files = ["--image-password-file", "a", "--image-password-file", "b"];
    let report = workspace.run([&["diff", "a", "b", "--json"][..], &files].concat()).expect(0).json();
    assert_eq!(report["changed_bytes"], 0);
    workspace.run([&["diff", "a", "b"][..], &files, &files].concat()).expect(2);
}
