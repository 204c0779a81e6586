//! Manifests: single nodes, and whole trees that a hostile writer could publish.

use crate::forge::{self, Object};
use crate::input::{Input, part};
use arbitrary::{Arbitrary, Unstructured};
use holotype_core::{ChunkId, NodeId, codec};
use holotype_repo::disk::{Content, Target, WriteOrder};
use holotype_repo::manifest::decode_parts_for_fuzzing;
use holotype_repo::{Job, RestoreOptions, VerifyOptions};
use std::collections::HashMap;
use std::io;
use std::sync::{LazyLock, Mutex};

#[derive(Debug, Arbitrary)]
struct StructuredNode {
    of_nodes: bool,
    ids: Vec<[u8; 32]>,
    sorted: bool,
    extents: Vec<(u8, u32, u64)>,
}

/// As two parts; then as a node whose form is right and whose numbers are not.
pub fn node(data: &[u8]) {
    let mut input = Input::new(data);
    let references = input.part();
    let _ = decode_parts_for_fuzzing(references, input.rest());

    let Ok(mut node) = StructuredNode::arbitrary(&mut Unstructured::new(data)) else { return };
    if node.sorted {
        node.ids.sort_unstable();
        node.ids.dedup();
    }
    let references = codec::encode(&(node.of_nodes, &node.ids));
    let mut layout = (node.extents.len() as u64).to_le_bytes().to_vec();
    for (variant, reference, bytes) in &node.extents {
        layout.extend(match (node.of_nodes, variant % 5) {
            (true, _) => codec::encode(&(*reference, *bytes)),
            (false, 0) => codec::encode(&(0u32, *reference, *bytes as u32)),
            (false, variant) => codec::encode(&(u32::from(variant), *bytes)),
        });
    }
    let decoded = decode_parts_for_fuzzing(&references, &layout);
    let in_set = |reference: u32| (reference as usize) < node.ids.len();
    let total = node.extents.iter().try_fold(0u64, |sum, (_, _, bytes)| sum.checked_add(*bytes));
    if node.of_nodes && decoded.is_ok() {
        assert!(total.is_some() && node.extents.iter().all(|(_, reference, _)| in_set(*reference)));
    }
}

pub fn node_seeds() -> Vec<Vec<u8>> {
    let leaf = forge::leaf(&[(Some(ChunkId([1; 32])), 700), (None, 4096), (Some(ChunkId([2; 32])), 1)]);
    let inner = forge::inner(&[(NodeId([3; 32]), 5), (NodeId([4; 32]), 6), (NodeId([3; 32]), 5)]);
    [leaf, inner].iter().map(|(references, layout)| [part(references), layout.clone()].concat()).collect()
}

/// Longest disk that the target of a restore takes, in bytes.
const MOST_BYTES: u64 = 1 << 20;

/// Config, key slot, the chunks and their pack: the same under every tree.
static BASE: LazyLock<(Vec<Object>, Vec<ChunkId>)> = LazyLock::new(|| {
    let (ids, pack) = forge::chunk_pack();
    let mut objects = forge::base_objects();
    objects.push(pack.object);
    (objects, ids)
});

static CHUNKS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(forge::chunks);

/// A node as an input describes it: links to chunks, zeros, or nodes before it.
#[derive(Debug)]
enum Model {
    Leaf(Vec<(Option<usize>, u64)>),
    Inner(Vec<(usize, u64)>),
    /// A node that is in no pack.
    Missing,
}

/// What restoring it must give: `None` where it is hurt, longer than anyone takes, or too much work.
struct Expected<'a> {
    nodes: &'a [Model],
    work: u32,
}

impl Expected<'_> {
    fn bytes(&mut self, node: usize, disk: &mut Vec<u8>) -> Option<()> {
        self.work = self.work.checked_sub(1)?;
        match &self.nodes[node] {
            Model::Missing => None,
            Model::Leaf(extents) => {
                for (chunk, bytes) in extents {
                    let end = (disk.len() as u64).checked_add(*bytes).filter(|end| *end <= MOST_BYTES)?;
                    match chunk.and_then(|chunk| CHUNKS.get(chunk)) {
                        Some(chunk) if chunk.len() as u64 == *bytes => disk.extend_from_slice(chunk),
                        None if chunk.is_none() => disk.resize(end as usize, 0),
                        _ => return None,
                    }
                }
                Some(())
            }
            Model::Inner(children) => {
                // Nobody reads a leaf that has no bytes of the disk, so it may be hurt; verify tells that.
                for (child, bytes) in children.iter().filter(|(_, bytes)| *bytes > 0) {
                    let before = disk.len() as u64;
                    self.bytes(*child, disk)?;
                    (disk.len() as u64 - before == *bytes).then_some(())?;
                }
                Some(())
            }
        }
    }
}

/// A target in memory that grows, up to [`MOST_BYTES`]. What was not written is no byte of a disk.
#[derive(Default)]
struct Sparse(Mutex<Vec<Option<u8>>>);

impl Sparse {
    fn put(&self, offset: u64, bytes: impl ExactSizeIterator<Item = u8>) -> io::Result<()> {
        let mut disk = self.0.lock().expect("no writer panics");
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::StorageFull)?;
        let end = start.checked_add(bytes.len()).filter(|end| *end <= disk.len()).ok_or(io::ErrorKind::StorageFull)?;
        disk[start..end].iter_mut().zip(bytes).for_each(|(place, byte)| *place = Some(byte));
        Ok(())
    }
}

impl Target for Sparse {
    fn order(&self) -> WriteOrder {
        WriteOrder::Any
    }
    fn prepare(&self, image_bytes: u64, _: Content) -> holotype_repo::Result<()> {
        if image_bytes > MOST_BYTES {
            let error = holotype_repo::Error::new(holotype_repo::ErrorKind::TargetRefused, "sparse", "too small");
            return Err(error);
        }
        self.0.lock().expect("no writer panics").resize(image_bytes as usize, None);
        Ok(())
    }
    fn write_at(&self, offset_bytes: u64, data: &[u8]) -> io::Result<()> {
        self.put(offset_bytes, data.iter().copied())
    }
    fn write_zeros(&self, offset_bytes: u64, length_bytes: u64) -> io::Result<()> {
        let length = usize::try_from(length_bytes).ok().filter(|length| *length as u64 <= MOST_BYTES);
        self.put(offset_bytes, std::iter::repeat_n(0, length.ok_or(io::ErrorKind::StorageFull)?))
    }
    fn finish(&self) -> io::Result<()> {
        Ok(())
    }
    fn describe(&self) -> String {
        "sparse".into()
    }
}

fn length_of(node: &Model) -> u64 {
    match node {
        Model::Leaf(extents) => extents.iter().fold(0, |sum, (_, bytes)| sum.wrapping_add(*bytes)),
        Model::Inner(children) => children.iter().fold(0, |sum, (_, bytes)| sum.wrapping_add(*bytes)),
        Model::Missing => 0,
    }
}

/// Nodes from the leaves up; the last one is the root. One byte each: kind, then number of links.
fn read_nodes(input: &mut Input<'_>) -> Vec<Model> {
    let mut nodes: Vec<Model> = Vec::new();
    while !input.is_empty() && nodes.len() < 24 {
        let kind = input.u8();
        let links = usize::from(input.u8());
        let mut leaf = Vec::new();
        let mut inner = Vec::new();
        for _ in 0..links {
            let (what, lie) = (usize::from(input.u8()), input.u8());
            let other = if lie % 16 == 15 { input.u64() } else { 0 };
            if kind % 8 < 3 {
                let chunk = (what % 6 != 5).then_some(what % 6);
                let right = match chunk {
                    Some(chunk) => CHUNKS.get(chunk).map_or(9, |chunk| chunk.len() as u64),
                    None => u64::from(lie) * 64,
                };
                let bytes = if lie % 16 == 15 { other } else { right };
                leaf.push((chunk, if chunk.is_some() { bytes & u64::from(u32::MAX) } else { bytes }));
            } else if let Some(child) = what.checked_rem(nodes.len()) {
                let bytes = if lie % 16 == 15 { other } else { length_of(&nodes[child]) };
                inner.push((child, bytes));
            }
        }
        nodes.push(match kind % 8 {
            0..3 => Model::Leaf(leaf),
            7 if links == 0 => Model::Missing,
            _ => Model::Inner(inner),
        });
    }
    nodes
}

/// A repository whose one image has a tree of this form, all sealed and signed as it should be:
/// verify and restore end, and a restore that says that it is done gave what the tree says.
pub fn tree(data: &[u8]) {
    restored_tree(data);
}

/// Whether it was restored.
fn restored_tree(data: &[u8]) -> bool {
    let mut input = Input::new(data);
    let lie = input.u8();
    let nodes = read_nodes(&mut input);
    if nodes.is_empty() {
        return false;
    }
    let (base, chunk_ids) = &*BASE;
    let mut encoded: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut names: Vec<NodeId> = Vec::new();
    let mut stored = HashMap::new();
    for node in &nodes {
        let parts = match node {
            Model::Leaf(extents) => {
                let id = |chunk: usize| chunk_ids.get(chunk).copied().unwrap_or(ChunkId([0xDD; 32]));
                let extents: Vec<_> = extents.iter().map(|(chunk, bytes)| (chunk.map(id), *bytes)).collect();
                forge::leaf(&extents)
            }
            Model::Inner(children) => {
                let children: Vec<_> = children.iter().map(|(child, bytes)| (names[*child], *bytes)).collect();
                forge::inner(&children)
            }
            Model::Missing => {
                names.push(NodeId([0xEE; 32]));
                continue;
            }
        };
        let name = forge::identity().node_id(&parts.0, &parts.1);
        names.push(name);
        if stored.insert(name, ()).is_none() {
            encoded.push(parts);
        }
    }
    let root = names[names.len() - 1];
    let mut objects = base.clone();
    if !encoded.is_empty() {
        objects.push(forge::node_pack(&encoded).1.object);
    }
    let claimed = if lie % 8 == 7 { input.u64() } else { length_of(&nodes[nodes.len() - 1]) };
    let (image, object) = forge::image(&root.0, &forge::summary(claimed), &forge::detail(&root, &[]));
    objects.push(object);

    let repository = forge::open(&objects).expect("config and slot are sound");
    let job = Job::new();
    assert_eq!(repository.images().expect("listing works").len(), 1);
    if lie & 0x80 == 0 {
        repository.verify(&VerifyOptions::structure(), &job).expect("verify could look");
    }
    let target = Sparse::default();
    let options = RestoreOptions { threads: Some(1), ..RestoreOptions::default() };
    let restored = repository.restore(image, &target, &options, &job);
    let mut disk = Vec::new();
    let expected = Expected { nodes: &nodes, work: 20_000 }.bytes(nodes.len() - 1, &mut disk);
    if restored.is_ok() {
        let written: Option<Vec<u8>> = target.0.into_inner().expect("no writer panics").into_iter().collect();
        assert!(expected.is_some(), "a hurt tree was restored");
        assert_eq!(written.as_deref(), Some(&disk[..]), "other bytes than the tree says");
        assert_eq!(claimed, disk.len() as u64);
    }
    restored.is_ok()
}

pub fn tree_seeds() -> Vec<Vec<u8>> {
    // A leaf of three extents; two leaves under a node; a node over that node.
    let leaf = [0, 3, 0, 0, 5, 2, 3, 0];
    let other = [1, 2, 1, 0, 2, 0];
    let inner = [3, 3, 0, 0, 1, 0, 0, 0];
    let deeper = [3, 2, 2, 0, 2, 0];
    let seed = |parts: &[&[u8]]| [&[0][..], &parts.concat()].concat();
    // A leaf of nothing and six nodes of 60 times the one below: 60^6 leaves, 47 billion.
    let explosive: Vec<u8> =
        (0..6u8).fold(vec![0, 0, 0], |tree, below| [tree, vec![3, 60], [below, 0].repeat(60)].concat());
    vec![
        explosive,
        seed(&[&leaf]),
        seed(&[&leaf, &other, &inner]),
        seed(&[&leaf, &other, &inner, &deeper]),
        seed(&[&leaf, &[7, 0], &inner]),
        seed(&[&[0, 0], &[3, 2, 0, 0, 0, 0], &[3, 2, 1, 0, 1, 0]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_trees_are_restored_and_others_are_not() {
        let outcomes: Vec<bool> = tree_seeds().iter().map(|seed| restored_tree(seed)).collect();
        assert_eq!(outcomes, [false, true, true, true, false, true]);
    }
}
