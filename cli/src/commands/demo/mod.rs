//! `holotype demo`: everything on a small disk that is made for it.

mod disk;
mod report;

use crate::arguments::{DemoArguments, GlobalArguments};
use crate::exit::{Exit, Failure, Result};
use crate::key_file::FreshKeyFile;
use crate::output;
use crate::progress::Progress;
use crate::signals;
use holotype_repo::core::layout::{SurveyOptions, survey};
use holotype_repo::os::{Overwrite, open_source, open_target};
use holotype_repo::store::LocalStore;
use holotype_repo::{
    BackupOptions, BackupReport, Credentials, Image, InitOptions, Job, Repository, RestoreOptions, VerifyOptions,
};
use report::{Clone, DemoReport};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const NAME: &str = "classroom/master";
const CLONES: usize = 3;

/// Makes a disk, backs it up twice, writes it to others, and looks whether all is right.
pub fn run(global: &GlobalArguments, arguments: &DemoArguments) -> Result {
    let started = Instant::now();
    let above = arguments.dir.clone().unwrap_or_else(std::env::temp_dir);
    fs::create_dir_all(&above).map_err(|error| Failure::io(above.display(), "make the directory", error))?;
    let directory = tempfile::Builder::new().prefix("holotype-demo-").tempdir_in(&above);
    let directory =
        directory.map_err(|error| Failure::io(above.display(), "make a directory for the demonstration", error))?;

    let progress = Arc::new(Progress::new(global.quiet));
    let shown = Arc::clone(&progress);
    let job = Job::new().cancelled_by(signals::cancel_token()?).on_event(move |event| shown.show(&event));
    let demonstration = Demonstration { directory: directory.path(), job, tells: !global.quiet && !global.json };
    let report = demonstration.run(started);
    progress.finish();
    let kept = arguments.keep.then(|| directory.keep());
    let report = DemoReport { directory: kept, ..report? };

    if let Some(problem) = report.problem() {
        return Err(Failure::failed("differs", format!("demonstration: {problem}; please report this")));
    }
    if global.json {
        output::json(&report);
    } else if !global.quiet {
        report.print();
    }
    Ok(Exit::Done)
}

struct Demonstration<'a> {
    directory: &'a Path,
    job: Job,
    tells: bool,
}

impl Demonstration<'_> {
    fn tell(&self, text: &str) {
        if self.tells {
            output::line(text);
        }
    }

    fn run(&self, started: Instant) -> Result<DemoReport> {
        self.tell("making a disk: partition table, FAT file system, this program, letters, a photo");
        let mut master = disk::make()?;
        let repository = self.make_repository()?;
        self.tell("backing it up");
        let first = self.back_up(&repository, &master)?;
        let monday = master.clone();
        self.tell("a day's work: letters are rewritten, some go, some come");
        disk::change(&mut master)?;
        self.tell("backing it up again");
        let second = self.back_up(&repository, &master)?;

        let mut clones = Vec::new();
        let images = repository.images()?;
        let [old, new] = images.as_slice() else {
            return Err(Failure::failed("differs", format!("demonstration: {} images in place of 2", images.len())));
        };
        self.tell(&format!("writing it to {CLONES} disks, and the first image to another one"));
        for number in 1..=CLONES {
            clones.push(self.write(&repository, new, &format!("clone-{number}.img"), &master)?);
        }
        clones.push(self.write(&repository, old, "as-it-was.img", &monday)?);
        self.tell("reading and checking everything that is stored");
        let verify = repository.verify(&VerifyOptions::read_everything(), &self.job)?;
        let stats = repository.stats()?;
        let elapsed_seconds = started.elapsed().as_secs_f64();
        Ok(DemoReport { directory: None, first, second, clones, verify, stats, elapsed_seconds })
    }

    fn make_repository(&self) -> Result<Repository> {
        let mut key_file = FreshKeyFile::create(&self.directory.join("demo.key"))?;
        let key = key_file.write("Key of the demonstration.")?;
        key_file.keep();
        let store = LocalStore::create(self.directory.join("repository"))?;
        let options = InitOptions::new(Credentials::key_file(key.to_vec()));
        Ok(Repository::init_shared(Arc::new(store), &options, Some(&self.directory.join("cache")))?)
    }

    fn back_up(&self, repository: &Repository, disk: &[u8]) -> Result<BackupReport> {
        let path = self.directory.join("master.img");
        fs::write(&path, disk).map_err(|error| Failure::io(path.display(), "write the disk", error))?;
        Ok(repository.backup(&*open_source(&path)?, &BackupOptions::named(NAME), &self.job)?)
    }

    fn write(&self, repository: &Repository, image: &Image, name: &str, expected: &[u8]) -> Result<Clone> {
        let path = self.directory.join(name);
        let target = open_target(&path, Overwrite::Refused)?;
        repository.restore(image.image, &*target, &RestoreOptions::default(), &self.job)?;
        let same = holds(&path, &without_free(expected))
            .map_err(|error| Failure::io(path.display(), "read the disk", error))?;
        Ok(Clone { name: name.to_owned(), identical: same })
    }
}

/// The disk as a new file has it after a restore: zeros where no file is, whatever was deleted there.
fn without_free(disk: &[u8]) -> Vec<u8> {
    let mut disk = disk.to_vec();
    let survey = survey(&disk, 512, &SurveyOptions::default());
    for run in survey.free.iter() {
        disk[run.offset() as usize..run.end() as usize].fill(0);
    }
    disk
}

/// Whether the file has exactly these bytes.
fn holds(path: &Path, expected: &[u8]) -> std::io::Result<bool> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() != expected.len() as u64 {
        return Ok(false);
    }
    let mut buffer = vec![0; 1 << 20];
    for part in expected.chunks(buffer.len()) {
        let read = &mut buffer[..part.len()];
        file.read_exact(read)?;
        if read != part {
            return Ok(false);
        }
    }
    Ok(true)
}
