//! What goes between a client and a server.

use holotype_repo::core::{ChunkId, PackId, WriterId};
use holotype_repo::store::Folder;
use holotype_repo::store::locate::{Located, LocatedPack, MAX_LOCATE_IDS, decode_question, encode_question};

/// An answer: the first byte says how many ids were asked for.
pub fn locate_answer(data: &[u8]) {
    let Some((ids, answer)) = data.split_first() else { return };
    let ids = usize::from(*ids);
    let Ok(located) = Located::decode(answer, ids) else { return };
    assert_eq!(located.places.len(), ids);
    assert!(located.packs.len() <= ids);
    assert!(located.places.iter().flatten().all(|place| (place.pack as usize) < located.packs.len()));
    assert_eq!(located.encode(), answer, "there is one way to write an answer");
}

pub fn locate_answer_seeds() -> Vec<Vec<u8>> {
    let pack = LocatedPack { folder: Folder::Packs, pack: PackId([1; 32]), writer: WriterId([2; 32]), bytes: 3 };
    let node = LocatedPack { folder: Folder::Meta, pack: PackId([4; 32]), ..pack };
    let answers = [
        Located::new(0, []),
        Located::new(7, [None, Some((pack, 1, 2))]),
        Located::new(7, [Some((pack, 0, 0)), Some((node, 3, 4)), None]),
    ];
    answers.iter().map(|answer| [&[answer.places.len() as u8][..], &answer.encode()].concat()).collect()
}

pub fn locate_question(data: &[u8]) {
    let Ok(ids) = decode_question(data) else { return };
    assert!(ids.len() <= MAX_LOCATE_IDS);
    assert_eq!(encode_question(&ids), data);
}

pub fn locate_question_seeds() -> Vec<Vec<u8>> {
    vec![Vec::new(), encode_question(&[ChunkId([1; 32]), ChunkId([2; 32])]), vec![0; 33]]
}
