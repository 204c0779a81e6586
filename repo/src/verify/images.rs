//! Images: each node of each manifest, and whether every chunk is in a pack that can be used.

use super::{Damage, VerifyReport};
use crate::error::{Error, ErrorKind, Result};
use crate::image::ListedImage;
use crate::index::PackKind;
use crate::manifest::{MAX_LEVELS, ManifestReader, NodeReferences};
use crate::repository::Repository;
use holotype_core::compress::Decompressor;
use holotype_core::{ChunkId, NodeId};
use std::collections::{BTreeSet, HashMap};

/// Numbers of the findings that a node's subtree needs to know of.
type Hurts = BTreeSet<usize>;

pub(super) struct ImageWalk<'a> {
    repository: &'a Repository,
    damage: &'a Damage,
    /// Nodes that were walked and hurt, or walked and sound (empty).
    walked: HashMap<NodeId, Hurts>,
}

impl<'a> ImageWalk<'a> {
    pub fn new(repository: &'a Repository, damage: &'a Damage) -> Self {
        Self { repository, damage, walked: HashMap::new() }
    }

    /// Walks an image. One with a password of its own is walked by its references alone.
    pub fn check(&mut self, image: &ListedImage, report: &mut VerifyReport) -> Result<()> {
        let subject = format!("images/{}", image.id);
        let keyring = self.repository.keyring();
        let root = match image.record.open_root(keyring) {
            Ok(root) => root,
            Err(error) => {
                let finding = report.find(subject, error.to_string());
                report.findings[finding].images.insert(image.id);
                return Ok(());
            }
        };
        let reader = match image.summary.protected {
            true => None,
            false => match self.open_reader(image, root) {
                Ok(reader) => Some(reader),
                Err(error) => {
                    let finding = report.find(subject, error.to_string());
                    report.findings[finding].images.insert(image.id);
                    return Ok(());
                }
            },
        };
        let hurts = self.walk(&root, reader.as_ref(), MAX_LEVELS, report)?;
        for finding in hurts {
            report.findings[finding].images.insert(image.id);
        }
        Ok(())
    }

    fn open_reader(&self, image: &ListedImage, root: NodeId) -> Result<ManifestReader<'a>> {
        let detail = image.record.open_detail(self.repository.keyring(), false, None)?;
        if detail.root != root {
            return Err(Error::new(ErrorKind::Damaged, "image", "its detail names another manifest than its root"));
        }
        let identity = self.repository.keyring().identity().clone();
        Ok(ManifestReader::new(self.repository.whole_catalog()?, self.repository.pack_readers(), identity, None))
    }

    fn walk(
        &mut self,
        id: &NodeId,
        reader: Option<&ManifestReader<'_>>,
        levels: u32,
        report: &mut VerifyReport,
    ) -> Result<Hurts> {
        if let Some(hurts) = self.walked.get(id) {
            return Ok(hurts.clone());
        }
        let mut hurts = Hurts::new();
        match self.references(id, reader, levels) {
            Err(error) if matches!(error.kind(), ErrorKind::Cancelled) => return Err(error),
            Err(error) => {
                let blamed = self.blame(&ChunkId(id.0))?;
                hurts.insert(match blamed {
                    Some(finding) => finding,
                    None => report.find(format!("manifest node {}", id.short()), error.to_string()),
                });
            }
            Ok(references) if references.of_nodes => {
                for child in references.ids {
                    hurts.extend(self.walk(&NodeId(child), reader, levels - 1, report)?);
                }
            }
            Ok(references) => {
                let ids: Vec<ChunkId> = references.ids.into_iter().map(ChunkId).collect();
                hurts.extend(self.check_chunks(&ids, report)?);
            }
        }
        self.walked.insert(*id, hurts.clone());
        Ok(hurts)
    }

    fn references(&self, id: &NodeId, reader: Option<&ManifestReader<'_>>, levels: u32) -> Result<NodeReferences> {
        let damaged = |why| Error::new(ErrorKind::Damaged, format!("manifest node {}", id.short()), why);
        if levels == 0 {
            return Err(damaged("its tree is deeper than any disk needs"));
        }
        if let Some(reader) = reader {
            return Ok(reader.node(id)?.into_references());
        }
        let catalog = self.repository.whole_catalog()?;
        let location = catalog.locate(&[ChunkId(id.0)])?[0].ok_or_else(|| damaged("no pack holds it"))?;
        let pack = self.repository.pack_readers().get(PackKind::Meta, &location.pack)?;
        let frame = pack.fetch_frame(self.repository.store(), location.frame, &mut Decompressor::default())?;
        let bytes = frame.chunk(location.slot).ok_or_else(|| damaged("its frame has no such slot"))?;
        NodeReferences::decode(bytes).map_err(|error| Error::decode(format!("manifest node {}", id.short()), error))
    }

    /// The finding that explains why this id cannot be had, if there is one.
    fn blame(&self, id: &ChunkId) -> Result<Option<usize>> {
        let location = self.repository.whole_catalog()?.locate(&[*id])?[0];
        Ok(match location {
            None => self.damage.missing.get(id).copied(),
            Some(place) => self
                .damage
                .packs
                .get(&place.pack)
                .or_else(|| self.damage.frames.get(&(place.pack, place.frame)))
                .or_else(|| self.damage.frames.get(&(place.pack, place.frame + 1)))
                .copied(),
        })
    }

    fn check_chunks(&self, ids: &[ChunkId], report: &mut VerifyReport) -> Result<Hurts> {
        let mut hurts = Hurts::new();
        for (id, location) in ids.iter().zip(self.repository.whole_catalog()?.locate(ids)?) {
            let finding = match location {
                Some(place) => self
                    .damage
                    .packs
                    .get(&place.pack)
                    .or_else(|| self.damage.frames.get(&(place.pack, place.frame)))
                    .copied(),
                None => Some(match self.damage.missing.get(id) {
                    Some(finding) => *finding,
                    None => report.find(format!("chunk {}", id.short()), "it is in no pack".to_owned()),
                }),
            };
            hurts.extend(finding);
        }
        Ok(hurts)
    }
}
