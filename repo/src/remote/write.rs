//! Storing objects on a server.

use super::answer::{self, Attempt, refused};
use super::read::not_found;
use super::retry::Situation;
use super::{FOOTER_BYTES, HttpsStore, OBJECT_BYTES, RECEIVED_BYTES, request};
use crate::error::{ErrorKind, Result};
use crate::pack::{EncodedFooter, TRAILER_BYTES};
use crate::store::{Folder, ObjectKey, Put};
use std::io::{self, Read};
use ureq::SendBody;
use ureq::http::{Request, StatusCode, header};

/// From this length on an upload can be broken off and go on, and the server may refuse it before a
/// byte is sent.
const LARGE_BYTES: u64 = 256 << 10;

/// How far an object came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UploadState {
    pub received_bytes: u64,
    /// Where the object is there, durably: its length.
    pub object_bytes: Option<u64>,
}

impl HttpsStore {
    pub(super) fn upload_state(&self, key: &ObjectKey) -> Result<UploadState> {
        let subject = self.subject(key);
        self.patience.run(&subject, |_| self.try_upload_state(&subject, key))
    }

    fn try_upload_state(&self, subject: &str, key: &ObjectKey) -> Result<UploadState, Attempt> {
        let path = self.path(&format!("/uploads/{}/{}", key.folder().name(), key.name()));
        let response = self.client.send(request("HEAD", &path))?;
        match response.status() {
            StatusCode::OK => Ok(UploadState {
                received_bytes: answer::number(&response, RECEIVED_BYTES).unwrap_or(0),
                object_bytes: answer::number(&response, OBJECT_BYTES),
            }),
            StatusCode::NOT_FOUND => Err(Attempt::Failed(not_found(subject))),
            _ => Err(refused(subject, response)),
        }
    }

    pub(super) fn put_parts(&self, key: &ObjectKey, parts: &[&[u8]]) -> Result<Put> {
        let subject = self.subject(key);
        let total_bytes: u64 = parts.iter().map(|part| part.len() as u64).sum();
        let mut began_anew = false;
        self.patience.run(&subject, |situation| {
            let mut from = 0;
            if total_bytes >= LARGE_BYTES && situation.may_have_arrived {
                match self.go_on_at(&subject, key, total_bytes, situation)? {
                    GoOn::At(received) => from = received,
                    GoOn::Complete => return Ok(Put::Stored),
                }
            }
            if from > 0 {
                tracing::debug!("{subject}: going on at byte {from} of {total_bytes}");
            }
            match self.try_put(&subject, key, parts, from, total_bytes) {
                // What an earlier attempt left there did not survive a crash; it is gone now.
                Err(Attempt::Failed(error)) if error.kind() == ErrorKind::Damaged && from > 0 && !began_anew => {
                    began_anew = true;
                    self.try_put(&subject, key, parts, 0, total_bytes)
                }
                result => result,
            }
        })
    }

    fn go_on_at(
        &self,
        subject: &str,
        key: &ObjectKey,
        total_bytes: u64,
        situation: Situation,
    ) -> Result<GoOn, Attempt> {
        if let Some(received) = situation.received_bytes {
            return Ok(GoOn::At(received.min(total_bytes)));
        }
        let state = self.try_upload_state(subject, key)?;
        // The server has compared such objects with their names; others are sent, and compared, again.
        let named_by_hash = matches!(key.folder(), Folder::Packs | Folder::Meta | Folder::Index | Folder::Images);
        if state.object_bytes == Some(total_bytes) && named_by_hash {
            return Ok(GoOn::Complete);
        }
        Ok(GoOn::At(if state.received_bytes <= total_bytes { state.received_bytes } else { 0 }))
    }

    fn try_put(
        &self,
        subject: &str,
        key: &ObjectKey,
        parts: &[&[u8]],
        from: u64,
        total_bytes: u64,
    ) -> Result<Put, Attempt> {
        let mut builder = Request::builder()
            .method("PUT")
            .uri(self.object_path(key))
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::CONTENT_LENGTH, total_bytes - from);
        if from > 0 && from < total_bytes {
            builder = builder.header(header::CONTENT_RANGE, format!("bytes {from}-{}/{total_bytes}", total_bytes - 1));
        } else if from > 0 {
            // All of it is there, and only its end was not answered.
            builder = builder.header(header::CONTENT_RANGE, format!("bytes */{total_bytes}"));
        }
        if total_bytes >= LARGE_BYTES {
            builder = builder.header(header::EXPECT, "100-continue");
        }
        if matches!(key.folder(), Folder::Packs | Folder::Meta)
            && let Some(footer_bytes) = footer_bytes(parts)
        {
            builder = builder.header(FOOTER_BYTES, footer_bytes);
        }
        let mut reader = PartsReader::new(parts, from);
        let request = builder.body(SendBody::from_reader(&mut reader)).expect("names of objects are fit for paths");
        let response = self.client.send(request)?;
        match response.status() {
            StatusCode::CREATED => finished(response, Put::Stored),
            StatusCode::OK => finished(response, Put::AlreadyPresent),
            _ => Err(refused(subject, response)),
        }
    }
}

enum GoOn {
    At(u64),
    Complete,
}

/// Reads the empty rest of an answer, so that the connection is used again.
fn finished(response: ureq::http::Response<ureq::Body>, put: Put) -> Result<Put, Attempt> {
    let _ = response.into_body().into_reader().read(&mut [0]);
    Ok(put)
}

/// Length of the footer that ends a pack of these parts; none where it is no pack.
fn footer_bytes(parts: &[&[u8]]) -> Option<usize> {
    let mut trailer = Vec::with_capacity(TRAILER_BYTES);
    for part in parts.iter().rev() {
        let wanted = (TRAILER_BYTES - trailer.len()).min(part.len());
        trailer.splice(..0, part[part.len() - wanted..].iter().copied());
    }
    EncodedFooter::length_from_trailer(&trailer).ok()
}

/// Parts of an object, one after another.
struct PartsReader<'a> {
    parts: &'a [&'a [u8]],
    at: usize,
}

impl<'a> PartsReader<'a> {
    /// From byte `from` on.
    fn new(mut parts: &'a [&'a [u8]], from: u64) -> Self {
        let mut left = from as usize;
        while let Some((first, rest)) = parts.split_first() {
            if left < first.len() {
                break;
            }
            left -= first.len();
            parts = rest;
        }
        Self { parts, at: left }
    }
}

impl Read for PartsReader<'_> {
    fn read(&mut self, mut buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len();
        while let (Some((first, rest)), false) = (self.parts.split_first(), buffer.is_empty()) {
            let part = &first[self.at..];
            let taken = part.len().min(buffer.len());
            buffer[..taken].copy_from_slice(&part[..taken]);
            buffer = &mut buffer[taken..];
            self.at += taken;
            if self.at == first.len() {
                (self.parts, self.at) = (rest, 0);
            }
        }
        Ok(room - buffer.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_from_anywhere() {
        let parts: [&[u8]; 5] = [b"", b"abc", b"", b"defg", b"h"];
        for from in 0..=8 {
            let mut read = String::new();
            PartsReader::new(&parts, from).read_to_string(&mut read).unwrap();
            assert_eq!(read, "abcdefgh"[from as usize..]);
        }
    }

    #[test]
    fn the_footer_is_found_across_parts() {
        let trailer = [&7u32.to_le_bytes()[..], &[1, 0, 0, 0], b"HOLOPACK"].concat();
        let parts = [&b"frames"[..], &trailer[..5], &trailer[5..]];
        assert_eq!(footer_bytes(&parts), Some(7 + 64 + 16));
        assert_eq!(footer_bytes(&[b"no pack"]), None);
    }
}
