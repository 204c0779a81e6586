//! Collect: the keys of the packs that an image's nodes and chunks lie in.

use super::{GrantSecrets, GrantedPack, PreparedGrant};
use crate::error::{DecodeContext, Error, ErrorKind, Result};
use crate::image::ImageSelector;
use crate::index::PackKind;
use crate::job::Job;
use crate::manifest::{ManifestReader, Node};
use crate::pack::origin_secret;
use crate::repository::Repository;
use crate::restore::read_lease;
use holotype_core::secret::{Secret32, SecretBytes};
use holotype_core::{ChunkId, NodeId, PackId};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Ids that are located at once.
const BATCH: usize = 50_000;

/// Collects the keys of an image. See [`Repository::prepare_grant`].
pub(crate) fn prepare(
    repository: &Repository,
    selector: &ImageSelector,
    image_password: Option<&SecretBytes>,
    job: &Job,
) -> Result<PreparedGrant> {
    let keyring = repository.keyring();
    keyring.require_full("grant images")?;
    let image = repository.open_image(selector, image_password)?;
    let _lease = read_lease(repository, job)?;
    repository.catalog()?.refresh()?;
    job.stage("grant", None);
    let mut collector = Collector { repository, job, packs: BTreeMap::new(), seen: HashSet::new() };
    let reader = ManifestReader::new(
        repository.catalog()?,
        repository.pack_readers(),
        repository.identity_of(&image),
        image.image_secret(),
    );
    collector.walk(&reader, image.detail.root)?;
    let packs = collector.packs.into_iter().map(|(salt, secret)| GrantedPack { salt, secret }).collect();
    let secrets = GrantSecrets {
        key_epoch: keyring.key_epoch(),
        content: keyring.content_public(),
        reference: keyring.reference_public(),
        id_secret: keyring.id_secret().clone(),
        summary: image.summary.clone(),
        detail: image.detail.clone(),
        packs,
    };
    Ok(PreparedGrant::new(repository.id(), image.id, keyring.signing(), &secrets))
}

struct Collector<'a> {
    repository: &'a Repository,
    job: &'a Job,
    /// Secrets by salt.
    packs: BTreeMap<[u8; 32], Secret32>,
    seen: HashSet<NodeId>,
}

impl Collector<'_> {
    /// Every node under `root` and every chunk of its leaves. A node is looked at once, so that a hostile tree takes no
    /// longer than the nodes that are there.
    fn walk(&mut self, reader: &ManifestReader<'_>, root: NodeId) -> Result<()> {
        let mut stack = vec![root];
        self.seen.insert(root);
        let (mut nodes, mut chunks) = (Vec::new(), BTreeSet::new());
        while let Some(id) = stack.pop() {
            self.job.check()?;
            nodes.push(ChunkId(id.0));
            match reader.node(&id)? {
                Node::Inner { references, .. } => {
                    let children = references.ids.iter().map(|id| NodeId(*id));
                    stack.extend(children.filter(|child| self.seen.insert(*child)));
                }
                Node::Leaf { references, .. } => {
                    chunks.extend(references.ids.iter().map(|id| ChunkId(*id)));
                }
            }
            if chunks.len() >= BATCH {
                self.add(PackKind::Data, &std::mem::take(&mut chunks).into_iter().collect::<Vec<_>>())?;
            }
        }
        self.add(PackKind::Data, &chunks.into_iter().collect::<Vec<_>>())?;
        nodes.chunks(BATCH).try_for_each(|nodes| self.add(PackKind::Meta, nodes))
    }

    /// Adds the secrets of the frames that hold `ids`.
    fn add(&mut self, kind: PackKind, ids: &[ChunkId]) -> Result<()> {
        let places = self.repository.catalog()?.locate(ids)?;
        let mut frames: BTreeMap<PackId, BTreeSet<u32>> = BTreeMap::new();
        for (id, place) in ids.iter().zip(places) {
            let place = place.ok_or_else(|| {
                Error::new(ErrorKind::Damaged, format!("chunk {}", id.short()), "it is in no pack")
                    .advise("run `holotype verify` to see what is missing, or grant another image")
            })?;
            let frames = frames.entry(place.pack).or_default();
            frames.insert(place.frame);
            if kind == PackKind::Meta {
                // The layouts of these references.
                frames.insert(place.frame + 1);
            }
        }
        let packs = self.repository.pack_readers();
        for (pack, frames) in frames {
            self.job.check()?;
            let reader = packs.get(kind, &pack)?;
            let footer = &reader.footer;
            let origins = frames.into_iter().filter_map(|frame| footer.frames.get(frame as usize));
            for origin in origins.map(|frame| frame.origin as usize).collect::<BTreeSet<_>>() {
                let origin = &footer.origins[origin];
                let secret = origin_secret(self.repository.keyring(), origin).about(reader.object())?;
                let secret = secret.ok_or_else(|| {
                    Error::new(ErrorKind::NotAllowed, reader.object().to_string(), "this key may not open it")
                })?;
                self.packs.insert(origin.salt, secret);
            }
        }
        Ok(())
    }
}
