//! The screens as pictures: SVG with text in columns of one width, for docs/SCREENS.md.
//!
//! `HOLOTYPE_WRITE_PICTURES=1 cargo test -p holotype-agent pictures` writes them anew; without it, the test fails where
//! a picture differs from its screen.

use super::tests::*;
use super::*;
use crate::terminal::Key;
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Size of a cell in the picture's units.
const CELL_WIDTH: u32 = 9;
const CELL_HEIGHT: u32 = 18;
/// Where letters stand in a cell.
const BASELINE: u32 = 14;

fn colour(colour: Color, ground: bool) -> &'static str {
    match colour {
        Color::Red => "#ff6b6b",
        Color::Green => "#7bd88f",
        Color::Yellow => "#ffd866",
        Color::Cyan => "#78c9e0",
        _ if ground => "#16181d",
        _ => "#d8dce4",
    }
}

/// Colours of a cell: letters, ground.
fn colours(cell: &Cell) -> (&'static str, &'static str) {
    let (front, back) = (colour(cell.fg, false), colour(cell.bg, true));
    if cell.modifier.contains(Modifier::REVERSED) { (back, front) } else { (front, back) }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A frame as SVG. Runs of one look are one text, stretched to their columns.
fn svg(buffer: &Buffer) -> String {
    let (columns, lines) = (buffer.area.width, buffer.area.height);
    let (width, height) = (u32::from(columns) * CELL_WIDTH + 20, u32::from(lines) * CELL_HEIGHT + 20);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"15\">\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"6\" fill=\"#16181d\"/>\n"
    );
    for y in 0..lines {
        let mut x = 0;
        while x < columns {
            let look = |x: u16| (colours(&buffer[(x, y)]), buffer[(x, y)].modifier);
            let begin = x;
            let mut run = String::new();
            while x < columns && look(x) == look(begin) {
                run.push_str(buffer[(x, y)].symbol());
                x += 1;
            }
            let ((front, back), modifier) = look(begin);
            let left = 10 + u32::from(begin) * CELL_WIDTH;
            let top = 10 + u32::from(y) * CELL_HEIGHT;
            let run_width = u32::from(x - begin) * CELL_WIDTH;
            if back != colour(Color::Reset, true) {
                let _ = writeln!(
                    text,
                    "<rect x=\"{left}\" y=\"{top}\" width=\"{run_width}\" height=\"{CELL_HEIGHT}\" fill=\"{back}\"/>"
                );
            }
            // Spaces at the ends show nothing.
            let shown = run.trim_end_matches(' ');
            let skipped = shown.chars().take_while(|c| *c == ' ').count() as u32;
            let shown = shown.trim_start_matches(' ');
            if shown.is_empty() {
                continue;
            }
            let (left, length) = (left + skipped * CELL_WIDTH, shown.chars().count() as u32 * CELL_WIDTH);
            let weight = if modifier.contains(Modifier::BOLD) { " font-weight=\"bold\"" } else { "" };
            let _ = writeln!(
                text,
                "<text x=\"{left}\" y=\"{}\" fill=\"{front}\"{weight} textLength=\"{length}\" \
                 lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\">{}</text>",
                top + BASELINE,
                escaped(shown)
            );
        }
    }
    text.push_str("</svg>\n");
    text
}

/// Every picture of the page, in its order.
fn pictures() -> Vec<(&'static str, Buffer)> {
    let mut all = Vec::new();
    let mut take = |name: &'static str, sitting: &mut Sitting| all.push((name, sitting.buffer()));

    let mut sitting = Sitting::new(medium());
    take("01-start", &mut sitting);
    sitting.enter().news(News::Disks(disks()));
    take("02-disk", &mut sitting);
    sitting.enter().news(News::Places(places(), Vec::new()));
    take("03-place", &mut sitting);
    sitting.enter().news(News::Looked { holds: false, images: None });
    take("04-name", &mut sitting);
    sitting.enter().type_text("four good words here").enter().type_text("four good");
    take("05-new-password", &mut sitting);
    sitting.press(&[Key::F(2)]);
    take("06-keyboard", &mut sitting);
    sitting.press(&[Key::Esc]).type_text(" words here").enter().news(News::Opened(Vec::new()));
    take("07-backup-summary", &mut sitting);
    sitting.enter().news(progress("backup", 0, 0)).news(progress("backup", 108_000_000_000, 95_000));
    take("08-backup-progress", &mut sitting);
    sitting.press(&[Key::Esc]);
    take("09-stop", &mut sitting);
    sitting.press(&[Key::Char('n')]).news(News::Finished(finished(0)));
    take("10-backup-done", &mut sitting);

    let mut sitting = Sitting::new(medium());
    sitting.go_to_restore_images();
    take("11-image", &mut sitting);
    sitting.enter().type_text("the password");
    take("12-password", &mut sitting);
    let mut sitting = Sitting::new(medium());
    sitting.go_to_target();
    take("13-target", &mut sitting);
    sitting.enter().type_text("sd");
    take("14-confirm", &mut sitting);
    sitting.type_text("a").enter();
    take("15-restore-summary", &mut sitting);
    let mut sitting = Sitting::new(medium());
    sitting.go_to_restore_images().enter().type_text("wrong").enter().news(News::WrongPassword);
    take("16-wrong-password", &mut sitting);

    let mut sitting = Sitting::new(Facts { connects: true, ..medium() });
    sitting.news(News::Claim { fingerprint: "K7QD-3M0X".into(), state: "waiting for the operator".into() });
    take("17-unknown-machine", &mut sitting);
    let what = Some("A backup of the disk of this PC will be made.".to_owned());
    take("18-countdown", &mut Sitting::new(Facts { unattended: what, counts_down: true, ..medium() }));
    let mut sitting = Sitting::new(medium());
    sitting.go_to_backup_password(true).type_text("password").enter().news(News::Opened(images())).enter();
    sitting.news(News::Finished(finished(8192)));
    take("19-unreadable", &mut sitting);
    let mut sitting = Sitting::new(medium());
    sitting.enter().news(News::Disks(Vec::new()));
    take("20-no-disk", &mut sitting);
    all
}

#[test]
fn pictures_show_what_the_screens_show() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/screens");
    let write = std::env::var_os("HOLOTYPE_WRITE_PICTURES").is_some();
    let page = std::fs::read_to_string(folder.join("../SCREENS.md")).unwrap();
    for (name, buffer) in pictures() {
        let (path, drawn) = (folder.join(format!("{name}.svg")), svg(&buffer));
        if write {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &drawn).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == drawn, "{name}: the picture differs; HOLOTYPE_WRITE_PICTURES=1 writes it anew");
        assert!(page.contains(&format!("screens/{name}.svg")), "{name} is not on the page");
    }
}
