//! Texts: image selectors, mount tables, object names.

use holotype_repo::ImageSelector;
use holotype_repo::image::valid_name;
use holotype_repo::os::parse_mounts_for_fuzzing;
use holotype_repo::store::{Folder, ObjectKey};

pub fn image_selector(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match text.parse::<ImageSelector>() {
        Ok(ImageSelector::NameOrPrefix(name)) => assert!(name == text && valid_name(&name)),
        Ok(ImageSelector::NameAtTime(name, time)) => {
            assert!(valid_name(&name));
            let again: ImageSelector = format!("{name}@{time}").parse().expect("its own form");
            assert_eq!(again, ImageSelector::NameAtTime(name, time));
        }
        Ok(ImageSelector::Id(_)) => panic!("no text names an id without doubt"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

pub fn image_selector_seeds() -> Vec<Vec<u8>> {
    ["lab-3/pc-07", "disk@2026-01-31T12:00:00Z", "a@2026-01-31T12:00:00.5+02:00[Europe/Berlin]", "8bab1c25e497"]
        .map(Vec::from)
        .to_vec()
}

pub fn mounts(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (mounts, swaps) = parse_mounts_for_fuzzing(&text, &text);
    assert!(mounts.max(swaps) <= text.lines().count());
}

pub fn mounts_seeds() -> Vec<Vec<u8>> {
    [
        "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro\n\
         35 22 8:17 /sub\\040folder /mnt/with\\134and\\011tab ro master:3 shared:9 - vfat /dev/sdb1 rw\n",
        "Filename\tType\tSize\tUsed\tPriority\n/swap\\040file file 1024 0 -3\n",
    ]
    .map(Vec::from)
    .to_vec()
}

pub fn object_key(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for folder in Folder::ALL {
        let Some(key) = ObjectKey::new(folder, &*text) else { continue };
        let shown = key.to_string();
        assert_eq!(shown, format!("{}/{text}", folder.name()));
        assert!(shown.matches('/').count() == 1 && !shown.contains("..") && shown.len() <= 140 && !text.is_empty());
        assert!(shown.bytes().all(|c| c.is_ascii_graphic() && !c.is_ascii_uppercase() && c != b'\\'));
    }
}

pub fn object_key_seeds() -> Vec<Vec<u8>> {
    vec![b"repository".to_vec(), b"ab01-00000000000000000007".to_vec(), b"../config".to_vec(), vec![b'a'; 128]]
}
