//! Reading objects and listings from a server.

use super::answer::{self, Attempt, Page, broke_off, refused, strange};
use super::{HttpsStore, OBJECT_BYTES, request};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Folder, ObjectInfo, ObjectKey, Store};
use std::io::Read;
use std::ops::Range;
use ureq::Body;
use ureq::http::{Response, StatusCode, header};

/// The longest object that is taken whole.
const MAX_OBJECT_BYTES: u64 = 1 << 30;
/// Objects in a page of a listing.
const PAGE_OBJECTS: usize = 10_000;

impl HttpsStore {
    pub(super) fn read_size(&self, key: &ObjectKey) -> Result<u64> {
        let subject = self.subject(key);
        self.patience.run(&subject, |_| {
            let response = self.client.send(request("HEAD", &self.object_path(key)))?;
            match response.status() {
                StatusCode::OK => answer::number(&response, OBJECT_BYTES)
                    .ok_or_else(|| Attempt::Failed(strange(&subject, "it does not tell the length"))),
                StatusCode::NOT_FOUND => Err(Attempt::Failed(not_found(&subject))),
                _ => Err(refused(&subject, response)),
            }
        })
    }

    pub(super) fn read_whole(&self, key: &ObjectKey) -> Result<Vec<u8>> {
        let subject = self.subject(key);
        self.patience.run(&subject, |_| {
            let response = self.client.send(request("GET", &self.object_path(key)))?;
            match response.status() {
                StatusCode::OK => {}
                _ => return Err(refused(&subject, response)),
            }
            let mut bytes = Vec::new();
            fill(&subject, response, &mut bytes, None)?;
            Ok(bytes)
        })
    }

    pub(super) fn read_range(&self, key: &ObjectKey, range: Range<u64>) -> Result<Vec<u8>> {
        let subject = self.subject(key);
        let Some(last) = range.end.checked_sub(1).filter(|last| range.start <= *last) else {
            // HTTP knows no empty ranges; whether this one is inside has to be known even so.
            let bytes = self.read_size(key)?;
            return match range.start == range.end && range.end <= bytes {
                true => Ok(Vec::new()),
                false => Err(outside(&subject, &range)),
            };
        };
        let mut bytes = Vec::new();
        self.patience.run(&subject, |_| {
            // What came before a break is not asked for again.
            let start = range.start + bytes.len() as u64;
            let mut request = request("GET", &self.object_path(key));
            let value = format!("bytes={start}-{last}").parse().expect("digits are fit for a header");
            request.headers_mut().insert(header::RANGE, value);
            let response = self.client.send(request)?;
            match response.status() {
                StatusCode::PARTIAL_CONTENT => fill(&subject, response, &mut bytes, Some(last - start + 1)),
                StatusCode::RANGE_NOT_SATISFIABLE => Err(Attempt::Failed(outside(&subject, &range))),
                _ => Err(refused(&subject, response)),
            }
        })?;
        Ok(bytes)
    }

    pub(super) fn read_listing(&self, folder: Folder) -> Result<Vec<ObjectInfo>> {
        let subject = format!("{} {}", self.describe(), folder.name());
        let mut objects: Vec<ObjectInfo> = Vec::new();
        loop {
            let after = objects.last().map_or_else(String::new, |last| format!("&after={}", last.key.name()));
            let path = self.path(&format!("/objects/{}?limit={PAGE_OBJECTS}{after}", folder.name()));
            let page: Page = self.patience.run(&subject, |_| {
                let response = self.client.send(request("GET", &path))?;
                match response.status() {
                    StatusCode::OK => answer::json(&subject, response),
                    _ => Err(refused(&subject, response)),
                }
            })?;
            let before = objects.len();
            for object in page.objects {
                let key = ObjectKey::new(folder, object.name)
                    .filter(|key| objects.last().is_none_or(|last| last.key < *key))
                    .ok_or_else(|| strange(&subject, "its list is out of order"))?;
                objects.push(ObjectInfo { key, bytes: object.bytes });
            }
            if !page.more {
                return Ok(objects);
            }
            if objects.len() == before {
                return Err(strange(&subject, "its list does not get on"));
            }
        }
    }
}

pub(super) fn not_found(subject: &str) -> Error {
    Error::new(ErrorKind::NotFound, subject, "there is no such object")
}

fn outside(subject: &str, range: &Range<u64>) -> Error {
    let why = format!("there are no bytes {} to {}", range.start, range.end);
    Error::new(ErrorKind::Damaged, subject, why)
}

/// Appends a body to `bytes`, which keeps what came before a break. `expected_bytes`, where they are
/// given, have to be its length.
pub(super) fn fill(
    subject: &str,
    response: Response<Body>,
    bytes: &mut Vec<u8>,
    expected_bytes: Option<u64>,
) -> Result<(), Attempt> {
    let failed = |why: &str| Attempt::Failed(strange(subject, why));
    let length = answer::number(&response, header::CONTENT_LENGTH.as_str());
    let length = length.ok_or_else(|| failed("it does not tell its length"))?;
    if expected_bytes.is_some_and(|expected| expected != length) || length > MAX_OBJECT_BYTES {
        return Err(failed("it has another length than was asked for"));
    }
    let length = length as usize;
    bytes.try_reserve_exact(length).map_err(|_| failed("it is longer than the memory that is free"))?;
    let mut at = bytes.len();
    bytes.resize(at + length, 0);
    let mut reader = response.into_body().into_with_config().limit(u64::MAX).reader();
    while at < bytes.len() {
        let read = reader.read(&mut bytes[at..]);
        match read {
            Ok(read) if read > 0 => at += read,
            ended => {
                bytes.truncate(at);
                let why = ended.err().map_or_else(|| "it ended too early".to_owned(), |error| error.to_string());
                return Err(Attempt::from(broke_off(subject, &why)));
            }
        }
    }
    // The end has to be seen, else the connection is not used again.
    let _ = reader.read(&mut [0]);
    Ok(())
}
