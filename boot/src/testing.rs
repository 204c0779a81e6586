//! A made-up kernel and agent for tests of this and other crates: media of them have everything but boot nowhere.
//! Panics where anything fails.

use std::fs;
use std::path::Path;

/// Version of the made-up kernel.
pub const VERSION: &str = "6.9.0-test";

/// A relocatable ELF file with nothing but `.modinfo` (System V ABI, chapter 4).
pub fn module(modinfo: &[&str]) -> Vec<u8> {
    let info = modinfo.iter().flat_map(|text| [text.as_bytes(), b"\0"].concat()).collect::<Vec<u8>>();
    let names = b"\0.modinfo\0.shstrtab\0";
    let mut file = vec![0; 64];
    file[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\x00");
    file[16..20].copy_from_slice(&[1, 0, 62, 0]);
    let info_at = file.len();
    file.extend(&info);
    let names_at = file.len();
    file.extend(names);
    file.resize(file.len().next_multiple_of(8), 0);
    let headers_at = file.len() as u64;
    for (name, kind, at, bytes) in [(0, 0, 0, 0), (1, 1, info_at, info.len()), (10, 3, names_at, names.len())] {
        let mut header = [0; 64];
        header[..4].copy_from_slice(&u32::to_le_bytes(name));
        header[4..8].copy_from_slice(&u32::to_le_bytes(kind));
        header[24..32].copy_from_slice(&(at as u64).to_le_bytes());
        header[32..40].copy_from_slice(&(bytes as u64).to_le_bytes());
        file.extend(header);
    }
    file[40..48].copy_from_slice(&headers_at.to_le_bytes());
    file[52..64].copy_from_slice(&[64, 0, 0, 0, 0, 0, 64, 0, 3, 0, 2, 0]);
    file
}

/// The head of a static x86-64 program, which is no agent but passes for one.
pub fn agent() -> Vec<u8> {
    let mut file = module(&[]);
    file[16] = 2;
    file
}

/// Unpacks a kernel into `folder`: version [`VERSION`], an image of nothing, six modules.
pub fn kernel_folder(folder: &Path) {
    let modules = folder.join("lib/modules/6.9.0-test/kernel");
    let put = |path: &str, content: Vec<u8>| {
        let path = modules.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    fs::create_dir_all(folder.join("boot")).unwrap();
    fs::write(folder.join("boot/vmlinuz-6.9.0-test"), vec![0x90; 100_000]).unwrap();
    put("drivers/scsi/sd_mod.ko", module(&["name=sd_mod", "depends=scsi_mod", "alias=scsi:t-0x00*"]));
    put("drivers/scsi/scsi_mod.ko", module(&["name=scsi_mod", "depends="]));
    let e1000e =
        ["name=e1000e", "softdep=pre: crypto-x", "alias=pci:v00008086d000010D3sv*sd*bc*sc*i*", "firmware=e.bin"];
    put("drivers/net/ethernet/intel/e1000e/e1000e.ko.zst", zstd::bulk::compress(&module(&e1000e), 3).unwrap());
    put("lib/x-generic.ko", module(&["name=x_generic", "alias=crypto-x"]));
    put("drivers/scsi/aic7xxx.ko", module(&["name=aic7xxx", "alias=pci:v00009004d*"]));
    put("sound/snd.ko", module(&["name=snd"]));
}
