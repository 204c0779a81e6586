//! What every [`ChunkIndex`] must do. Implementations run [`check`] in their tests.

use super::{ChunkIndex, ChunkLocation, IndexedPack, PackContents, PackKind};
use crate::error::ErrorKind;
use holotype_core::{ChunkId, PackId, SegmentId, WriterId};
use std::collections::{BTreeMap, HashMap, HashSet};

/// An index under test.
pub trait Subject {
    /// The index.
    fn index(&self) -> &dyn ChunkIndex;

    /// Closes and opens it again, where it can.
    fn reopen(&mut self);
}

/// A step of [`check_model`].
#[derive(Debug, Clone)]
pub enum Step {
    /// Inserts packs by number, and a segment.
    Insert(Vec<u16>, u16),
    /// Removes packs by number.
    Remove(Vec<u16>),
    /// Locates chunks by number.
    Locate(Vec<u16>),
    /// Flushes.
    Flush,
    /// Closes and opens.
    Reopen,
}

/// The id of chunk `number`, spread as a hash.
pub fn chunk_id(number: u64) -> ChunkId {
    ChunkId(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

/// The name of pack `number`.
pub fn pack_id(number: u64) -> PackId {
    PackId(chunk_id(number ^ 1 << 60).0)
}

/// The name of segment `number`.
pub fn segment_id(number: u64) -> SegmentId {
    SegmentId(chunk_id(number ^ 1 << 61).0)
}

/// Pack `number` with these chunks by number.
pub fn pack(number: u64, frames: &[&[u64]]) -> PackContents {
    PackContents {
        pack: pack_id(number),
        kind: if number.is_multiple_of(5) { PackKind::Meta } else { PackKind::Data },
        writer: WriterId(chunk_id(number % 3).0),
        bytes: 1000 + number,
        frames: frames.iter().map(|chunks| chunks.iter().map(|&chunk| chunk_id(chunk)).collect()).collect(),
    }
}

/// Pack `number` of the model: some frames of chunks that overlap those of other packs.
pub fn model_pack(number: u16) -> PackContents {
    let mut chunks = (0..u64::from(number % 7) * 40).map(|i| (u64::from(number) * 31 + i * 3) % 2000);
    let mut frames = Vec::new();
    for length in [3, 1, 0, 200] {
        frames.push(chunks.by_ref().take(length).collect::<Vec<_>>());
    }
    pack(number.into(), &frames.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// What [`ChunkIndex`] should hold.
#[derive(Debug, Default)]
pub struct Model {
    packs: BTreeMap<PackId, IndexedPack>,
    segments: HashSet<SegmentId>,
    places: HashMap<ChunkId, HashSet<ChunkLocation>>,
}

impl Model {
    /// Takes in a pack.
    pub fn insert(&mut self, contents: &PackContents) {
        self.packs.entry(contents.pack).or_insert_with(|| IndexedPack::from(contents));
        for (frame, ids) in (0..).zip(&contents.frames) {
            for (slot, id) in (0..).zip(ids) {
                let location = ChunkLocation { pack: contents.pack, frame, slot };
                self.places.entry(*id).or_default().insert(location);
            }
        }
    }

    /// Takes in a segment.
    pub fn insert_segment(&mut self, segment: SegmentId) {
        self.segments.insert(segment);
    }

    /// Forgets a pack.
    pub fn remove(&mut self, pack: &PackId) {
        self.packs.remove(pack);
    }

    /// Whether `answer` is right for `id`, given the packs that are live.
    pub fn is_right(&self, id: &ChunkId, answer: Option<ChunkLocation>, live: impl Fn(&PackId) -> bool) -> bool {
        let places = self.places.get(id);
        match answer {
            Some(location) => places.is_some_and(|places| places.contains(&location)) && live(&location.pack),
            None => places.is_none_or(|places| !places.iter().any(|place| live(&place.pack))),
        }
    }

    /// Asks everything.
    ///
    /// # Panics
    /// Where an answer is wrong.
    pub fn check(&self, index: &dyn ChunkIndex) {
        let mut packs = index.packs().unwrap();
        packs.sort_unstable();
        assert_eq!(packs, self.packs.values().copied().collect::<Vec<_>>());
        assert_eq!(index.stats().unwrap().packs, packs.len() as u64);
        for segment in (0..40).map(segment_id) {
            assert_eq!(index.has_segment(&segment).unwrap(), self.segments.contains(&segment));
        }
        self.check_ids(index, &(0..2100).map(chunk_id).collect::<Vec<_>>());
    }

    fn check_ids(&self, index: &dyn ChunkIndex, ids: &[ChunkId]) {
        let answers = index.locate(ids).unwrap();
        assert_eq!(answers.len(), ids.len());
        for (id, answer) in ids.iter().zip(answers) {
            assert!(self.is_right(id, answer, |pack| self.packs.contains_key(pack)), "{id:?} → {answer:?}");
            assert!(answer.is_none() || index.may_contain(id), "the filter denies {id:?}");
        }
    }
}

/// Takes `steps` with the index and the model, and compares after each.
///
/// # Panics
/// Where an answer is wrong.
pub fn check_model(subject: &mut impl Subject, steps: &[Step]) {
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Insert(numbers, segment) => {
                let packs: Vec<_> = numbers.iter().map(|&number| model_pack(number)).collect();
                let segment = segment_id(u64::from(*segment));
                subject.index().insert(&packs, &[segment]).unwrap();
                packs.iter().for_each(|pack| model.insert(pack));
                model.insert_segment(segment);
            }
            Step::Remove(numbers) => {
                let packs: Vec<_> = numbers.iter().map(|&number| pack_id(number.into())).collect();
                subject.index().remove_packs(&packs).unwrap();
                packs.iter().for_each(|pack| model.remove(pack));
            }
            Step::Locate(numbers) => {
                let ids: Vec<_> = numbers.iter().map(|&number| chunk_id(number.into())).collect();
                model.check_ids(subject.index(), &ids);
            }
            Step::Flush => subject.index().flush().unwrap(),
            Step::Reopen => subject.reopen(),
        }
    }
    model.check(subject.index());
    subject.reopen();
    model.check(subject.index());
}

/// Runs the suite; `new` makes an empty index.
///
/// # Panics
/// Where an index does not do what the trait says.
pub fn check<S: Subject>(new: impl Fn() -> S) {
    an_empty_index_knows_nothing(&new());
    places_are_exact(&mut new());
    another_copy_is_found_when_a_pack_is_removed(&mut new());
    a_removed_pack_can_come_back(&mut new());
    what_does_not_fit_is_refused_whole(&new());
    many_inserts_keep_few_runs_and_every_entry(&mut new());
    many_copies_of_one_chunk(&mut new());
    many_threads_at_once(&new());
}

fn an_empty_index_knows_nothing(subject: &impl Subject) {
    let index = subject.index();
    assert_eq!(index.locate(&[]).unwrap(), []);
    assert_eq!(index.locate(&[chunk_id(1), chunk_id(1)]).unwrap(), [None, None]);
    assert!(!index.may_contain(&chunk_id(1)) && !index.has_segment(&segment_id(1)).unwrap());
    assert!(index.packs().unwrap().is_empty());
    index.insert(&[], &[]).unwrap();
    index.remove_packs(&[pack_id(1)]).unwrap();
    index.flush().unwrap();
    let stats = index.stats().unwrap();
    assert_eq!((stats.packs, stats.entries, stats.runs), (0, 0, 0));
}

fn places_are_exact(subject: &mut impl Subject) {
    let contents = [pack(1, &[&[10, 11], &[], &[12]]), pack(2, &[]), pack(1, &[&[13]])];
    subject.index().insert(&contents, &[segment_id(1)]).unwrap();
    subject.index().insert(&[pack(2, &[&[14]])], &[segment_id(1), segment_id(2)]).unwrap();
    for _ in 0..2 {
        let index = subject.index();
        let place = |frame, slot| Some(ChunkLocation { pack: pack_id(1), frame, slot });
        let ids = [12, 99, 10, 11, 12, 13, 14].map(chunk_id);
        let found = [place(2, 0), None, place(0, 0), place(0, 1), place(2, 0), None, None];
        assert_eq!(index.locate(&ids).unwrap(), found, "a pack is taken in once, as it came first");
        let segments = [1, 2, 3].map(|number| index.has_segment(&segment_id(number)).unwrap());
        assert_eq!(segments, [true, true, false]);
        let mut packs = index.packs().unwrap();
        packs.sort_unstable_by_key(|pack| pack.bytes);
        assert_eq!(packs, [IndexedPack::from(&contents[0]), IndexedPack::from(&contents[1])]);
        assert_eq!(index.stats().unwrap().entries, 3);
        subject.reopen();
    }
}

fn another_copy_is_found_when_a_pack_is_removed(subject: &mut impl Subject) {
    subject.index().insert(&[pack(1, &[&[7, 8]]), pack(2, &[&[1, 7]])], &[]).unwrap();
    subject.index().insert(&[pack(3, &[&[1], &[7]])], &[]).unwrap();
    let place = |pack, frame, slot| Some(ChunkLocation { pack: pack_id(pack), frame, slot });
    let mut left = vec![place(1, 0, 0), place(2, 0, 1), place(3, 1, 0)];
    while left.len() > 1 {
        let [found] = subject.index().locate(&[chunk_id(7)]).unwrap()[..] else { panic!("one id, one answer") };
        assert!(left.contains(&found), "{found:?}");
        left.retain(|place| *place != found);
        subject.index().remove_packs(&[found.unwrap().pack, pack_id(50)]).unwrap();
        subject.reopen();
    }
    assert_eq!(subject.index().locate(&[chunk_id(7)]).unwrap(), left);
    subject.index().remove_packs(&[1, 2, 3].map(pack_id)).unwrap();
    assert_eq!(subject.index().locate(&[7, 8, 1].map(chunk_id)).unwrap(), [None; 3]);
}

fn a_removed_pack_can_come_back(subject: &mut impl Subject) {
    let contents = [pack(1, &[&[7]])];
    for _ in 0..3 {
        subject.index().insert(&contents, &[]).unwrap();
        assert!(subject.index().locate(&[chunk_id(7)]).unwrap()[0].is_some());
        subject.reopen();
        assert!(subject.index().locate(&[chunk_id(7)]).unwrap()[0].is_some());
        subject.index().remove_packs(&[pack_id(1)]).unwrap();
        assert_eq!(subject.index().locate(&[chunk_id(7)]).unwrap(), [None]);
    }
}

fn what_does_not_fit_is_refused_whole(subject: &impl Subject) {
    let mut large = pack(2, &[]);
    large.frames = vec![Vec::new(); super::MAX_FRAMES + 1];
    let error = subject.index().insert(&[pack(1, &[&[1]]), large], &[segment_id(1)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(subject.index().locate(&[chunk_id(1)]).unwrap(), [None]);
    assert!(subject.index().packs().unwrap().is_empty() && !subject.index().has_segment(&segment_id(1)).unwrap());
}

fn many_inserts_keep_few_runs_and_every_entry(subject: &mut impl Subject) {
    let mut model = Model::default();
    for number in 0..40 {
        let contents = model_pack(number);
        subject.index().insert(std::slice::from_ref(&contents), &[]).unwrap();
        model.insert(&contents);
        let stats = subject.index().stats().unwrap();
        assert!(stats.runs <= 8, "{stats:?}");
    }
    model.check(subject.index());
    for number in [3, 20, 39] {
        subject.index().remove_packs(&[pack_id(number)]).unwrap();
        model.remove(&pack_id(number));
    }
    for number in 40..60 {
        let contents = model_pack(number);
        subject.index().insert(std::slice::from_ref(&contents), &[]).unwrap();
        model.insert(&contents);
    }
    model.check(subject.index());
    subject.reopen();
    model.check(subject.index());
}

/// More copies than a page has entries: the live one may lie in any page.
fn many_copies_of_one_chunk(subject: &mut impl Subject) {
    let packs: Vec<_> = (1..=700).map(|number| pack(number, &[&[7], &[number + 1000]])).collect();
    subject.index().insert(&packs, &[]).unwrap();
    for survivor in [1, 128, 129, 400, 700] {
        let gone: Vec<_> = (1..=700).filter(|&number| number != survivor).map(pack_id).collect();
        subject.index().remove_packs(&gone).unwrap();
        let found = subject.index().locate(&[chunk_id(7), chunk_id(survivor + 1000)]).unwrap();
        let place = |frame| Some(ChunkLocation { pack: pack_id(survivor), frame, slot: 0 });
        assert_eq!(found, [place(0), place(1)]);
        subject.index().insert(&packs, &[]).unwrap();
    }
}

fn many_threads_at_once(subject: &impl Subject) {
    let index = subject.index();
    index.insert(&[pack(1000, &[&[5000, 5001]])], &[]).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let found = index.locate(&[chunk_id(5001), chunk_id(9999)]).unwrap();
                    assert_eq!(found, [Some(ChunkLocation { pack: pack_id(1000), frame: 0, slot: 1 }), None]);
                }
            });
        }
        scope.spawn(|| (0..30).for_each(|number| index.insert(&[model_pack(number)], &[]).unwrap()));
    });
    let mut model = Model::default();
    (0..30).for_each(|number| model.insert(&model_pack(number)));
    model.insert(&pack(1000, &[&[5000, 5001]]));
    model.check(index);
}
