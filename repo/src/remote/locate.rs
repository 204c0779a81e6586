//! Asking a server where chunks lie.

use super::answer::{Attempt, refused, strange};
use super::read::fill;
use super::{HttpsStore, OBJECT_BYTES, answer, request};
use crate::error::Result;
use crate::store::locate::{Located, MAX_ANSWER_BYTES, MAX_LOCATE_IDS, encode_question};
use crate::store::{Locator, ObjectKey, Store};
use holotype_core::ChunkId;
use ureq::http::{Request, StatusCode, header};

impl HttpsStore {
    fn ask(&self, ids: &[ChunkId]) -> Result<Located> {
        let subject = format!("{} chunks", self.describe());
        let question = encode_question(ids);
        self.patience.run(&subject, |_| {
            let request = Request::builder()
                .method("POST")
                .uri(self.path("/chunks/locate"))
                .header(header::CONTENT_TYPE, "application/octet-stream")
                .body(&question[..])
                .expect("it is a path");
            let response = self.client.send(request)?;
            if response.status() != StatusCode::OK {
                return Err(refused(&subject, response));
            }
            let failed = |why: &str| Attempt::Failed(strange(&subject, why));
            let length = answer::number(&response, header::CONTENT_LENGTH.as_str());
            if length.is_none_or(|length| length > MAX_ANSWER_BYTES as u64) {
                return Err(failed("it is longer than any answer"));
            }
            let mut bytes = Vec::new();
            fill(&subject, response, &mut bytes, None)?;
            Located::decode(&bytes, ids.len()).map_err(|error| failed(&error.to_string()))
        })
    }
}

impl Locator for HttpsStore {
    fn locate(&self, ids: &[ChunkId]) -> Result<Located> {
        if ids.len() <= MAX_LOCATE_IDS {
            return self.ask(ids);
        }
        let mut found = Vec::with_capacity(ids.len());
        let mut indexed_packs = 0;
        for ids in ids.chunks(MAX_LOCATE_IDS) {
            let located = self.ask(ids)?;
            indexed_packs = located.indexed_packs;
            let pack = |number: u32| located.packs.get(number as usize).copied();
            let place = |place: crate::store::locate::Place| Some((pack(place.pack)?, place.frame, place.slot));
            found.extend(located.places.iter().map(|found| found.and_then(place)));
        }
        Ok(Located::new(indexed_packs, found))
    }

    fn pack_footer(&self, key: &ObjectKey) -> Result<(Vec<u8>, u64)> {
        let subject = self.subject(key);
        self.patience.run(&subject, |_| {
            let response = self.client.send(request("GET", &format!("{}?part=footer", self.object_path(key))))?;
            if response.status() != StatusCode::OK {
                return Err(refused(&subject, response));
            }
            let pack_bytes = answer::number(&response, OBJECT_BYTES)
                .ok_or_else(|| Attempt::Failed(strange(&subject, "it does not tell the length of the pack")))?;
            let mut footer = Vec::new();
            fill(&subject, response, &mut footer, None)?;
            Ok((footer, pack_bytes))
        })
    }
}
