//! The list of disks: which one is backed up, or written to.

use super::parts::{self, Choice};
use super::text::{plain, size};
use super::{Answer, DiskView, Screen, Step};
use crate::terminal::Key;
use ratatui::Frame;
use ratatui::layout::Rect;

/// The list of disks.
pub(super) struct Disks {
    disks: Vec<DiskView>,
    choice: Choice,
    /// Length of the image, where one of these is written to.
    image_bytes: Option<u64>,
    refusal: Option<String>,
    /// Devices of storage that no driver serves, in a sentence.
    missing: Option<String>,
}

impl Disks {
    /// Which one is backed up.
    pub(super) fn source(disks: Vec<DiskView>, missing: Option<String>) -> Self {
        // The medium is rarely meant.
        let at = disks.iter().position(|disk| !disk.is_medium).unwrap_or(0);
        Self { disks, choice: Choice { at }, image_bytes: None, refusal: None, missing }
    }

    /// Which one is written to; the medium is never offered.
    pub(super) fn target(disks: Vec<DiskView>, image_bytes: u64, missing: Option<String>) -> Self {
        let disks = disks.into_iter().filter(|disk| !disk.is_medium).collect();
        Self { disks, choice: Choice::default(), image_bytes: Some(image_bytes), refusal: None, missing }
    }

    /// Why this disk cannot be chosen.
    fn refusal(&self, disk: &DiskView) -> Option<String> {
        let image_bytes = self.image_bytes?;
        let name = disk.short_name();
        if disk.read_only {
            return Some(format!("{name} is write-protected; choose another disk"));
        }
        if disk.in_use {
            return Some(format!("{name} is in use (something of it is mounted); choose another disk"));
        }
        // A file takes the length that it needs.
        let is_small = disk.bytes > 0 && disk.bytes < image_bytes && disk.path.starts_with("/dev");
        is_small.then(|| {
            let (has, needs) = (size(disk.bytes), size(image_bytes));
            format!("{name} has {has}, and the image is of a disk of {needs}; it may only go on if its end is unused")
        })
    }
}

fn line(disk: &DiskView) -> String {
    let serial = if disk.serial.is_empty() { String::new() } else { format!("  serial {}", plain(&disk.serial, 24)) };
    let medium = if disk.is_medium { "  (this boot medium)" } else { "" };
    format!("{:<10} {:>9}  {}{serial}{medium}", disk.short_name(), size(disk.bytes), plain(&disk.model, 28))
}

impl Screen for Disks {
    fn title(&self) -> String {
        if self.image_bytes.is_some() { "onto which disk?" } else { "which disk?" }.to_owned()
    }

    fn draw(&self, frame: &mut Frame<'_>, area: Rect) {
        if self.disks.is_empty() {
            let text = match &self.missing {
                Some(missing) => format!("No disk was found: {missing} F5 looks again."),
                None => "No disk was found. Check cables and the firmware's settings (some controllers have to be set to AHCI), or make a medium with all drivers. F5 looks again.".to_owned(),
            };
            parts::text_at(frame, area, 0, &text, parts::BAD);
            return;
        }
        let question = match self.image_bytes {
            Some(bytes) => {
                format!("The image is of a disk of {}. What is on the disk that you choose is lost.", size(bytes))
            }
            None => "Which disk shall be backed up? It is only read.".to_owned(),
        };
        let at = parts::text_at(frame, area, 0, &question, parts::STRONG) + 1;
        let lines: Vec<String> = self.disks.iter().map(line).collect();
        let rows = (lines.len() as u16).min(area.height / 2);
        self.choice.draw(frame, Rect::new(area.x, area.y + at, area.width, rows), &lines);
        let mut at = at + rows + 1;
        if let Some(disk) = self.disks.get(self.choice.at) {
            let bus = if disk.bus.is_empty() { String::new() } else { format!(" ({})", disk.bus) };
            at = parts::text_at(frame, area, at, &format!("On {}{bus}:", disk.path.display()), parts::FAINT);
            let nothing = if disk.is_empty { "nothing; it is empty" } else { "something that is not known here" };
            let content = if disk.content.is_empty() { vec![nothing.to_owned()] } else { disk.content.clone() };
            for line in content {
                at = parts::text_at(frame, area, at, &format!("  {}", plain(&line, 200)), parts::PLAIN);
            }
        }
        if let Some(missing) = &self.missing {
            at = parts::text_at(frame, area, at + 1, &plain(missing, 300), parts::WARN);
        }
        if let Some(refusal) = &self.refusal {
            parts::text_at(frame, area, at + 1, refusal, parts::BAD);
        }
    }

    fn key(&mut self, key: Key) -> Step {
        match key {
            Key::Esc => Step::Back,
            Key::F(5) => Step::Ask(super::Request::ListDisks),
            Key::Enter => {
                let Some(disk) = self.disks.get(self.choice.at) else { return Step::Stay };
                self.refusal = self.refusal(disk);
                let is_short = self.refusal.as_ref().is_some_and(|why| why.contains("may only"));
                // A smaller disk may do: the library knows when it looks at the image.
                match self.refusal.is_none() || is_short {
                    true => Step::Answer(Answer::Disk(disk.clone())),
                    false => Step::Stay,
                }
            }
            key => {
                self.choice.key(key, self.disks.len());
                self.refusal = None;
                Step::Stay
            }
        }
    }

    fn help(&self) -> &'static str {
        "Each line is a disk: its name, size, model and serial number, which is printed on its label. Below stands what is on the chosen one.\n\nF5 looks for disks again, after you plugged one in. The medium that this PC was booted from is never written to."
    }

    fn keys(&self) -> String {
        "Enter: choose   F5: look again   Esc: back   F1: help".to_owned()
    }
}
