//! Standard input as a source, and standard output as a target.

use super::host;
use crate::disk::{Content, Geometry, Source, SourceIdentity, Target, WriteOrder};
use crate::error::{Error, ErrorKind, Result};
use std::io::{self, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The path of streams.
const STREAM: &str = "-";

static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

fn out_of_order(stands_at: u64, asked: u64) -> io::Error {
    let why = format!("a stream stands at byte {stands_at} and cannot go to byte {asked}");
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// Standard input, or anything else that is read from its begin to its end.
pub struct StdinSource {
    reader: Mutex<Reader>,
}

struct Reader {
    inner: Box<dyn Read + Send>,
    position_bytes: u64,
    /// Came after bytes that were given out first.
    pending: Option<io::Error>,
}

impl StdinSource {
    /// Standard input.
    pub fn stdin() -> Self {
        Self::new(io::stdin())
    }

    /// Everything that `reader` gives.
    pub fn new(reader: impl Read + Send + 'static) -> Self {
        Self { reader: Mutex::new(Reader { inner: Box::new(reader), position_bytes: 0, pending: None }) }
    }
}

impl Source for StdinSource {
    fn geometry(&self) -> Geometry {
        Geometry { bytes: None, logical_sector_bytes: 512, physical_sector_bytes: 512 }
    }

    fn identity(&self) -> SourceIdentity {
        SourceIdentity { path: STREAM.into(), host: host::host_name(), ..SourceIdentity::default() }
    }

    /// Fills the buffer as far as the stream goes: a pipe gives no more than 64 KiB at once.
    fn read_at(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if offset_bytes != reader.position_bytes {
            return Err(out_of_order(reader.position_bytes, offset_bytes));
        }
        if let Some(error) = reader.pending.take() {
            return Err(error);
        }
        let mut filled = 0;
        while filled < buffer.len() {
            match reader.inner.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if filled == 0 => return Err(error),
                Err(error) => {
                    reader.pending = Some(error);
                    break;
                }
            }
        }
        reader.position_bytes += filled as u64;
        Ok(filled)
    }

    fn can_reread(&self) -> bool {
        false
    }
}

/// Standard output, or anything else that is written from its begin to its end.
pub struct StdoutTarget {
    writer: Mutex<Writer>,
}

struct Writer {
    inner: Box<dyn Write + Send>,
    position_bytes: u64,
    image_bytes: Option<u64>,
}

impl StdoutTarget {
    /// Standard output.
    pub fn stdout() -> Self {
        Self::new(io::stdout())
    }

    /// Writes to `writer`.
    pub fn new(writer: impl Write + Send + 'static) -> Self {
        Self { writer: Mutex::new(Writer { inner: Box::new(writer), position_bytes: 0, image_bytes: None }) }
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.inner.write_all(data).map_err(explain)?;
        self.position_bytes += data.len() as u64;
        Ok(())
    }

    fn expect_at(&self, offset_bytes: u64) -> io::Result<()> {
        if offset_bytes == self.position_bytes { Ok(()) } else { Err(out_of_order(self.position_bytes, offset_bytes)) }
    }
}

/// Says who left, where the pipe is broken.
fn explain(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => {
            io::Error::new(io::ErrorKind::BrokenPipe, "the program that reads standard output has ended")
        }
        _ => error,
    }
}

impl Target for StdoutTarget {
    fn order(&self) -> WriteOrder {
        WriteOrder::Ascending
    }

    fn prepare(&self, target_bytes: u64, _content: Content) -> Result<()> {
        let mut writer = self.writer();
        if writer.position_bytes > 0 {
            return Err(Error::new(ErrorKind::TargetRefused, STREAM, "a stream can be written once only"));
        }
        writer.image_bytes = Some(target_bytes);
        Ok(())
    }

    fn write_at(&self, offset_bytes: u64, data: &[u8]) -> io::Result<()> {
        let mut writer = self.writer();
        writer.expect_at(offset_bytes)?;
        writer.write(data)
    }

    fn write_zeros(&self, offset_bytes: u64, length_bytes: u64) -> io::Result<()> {
        let mut writer = self.writer();
        writer.expect_at(offset_bytes)?;
        let mut left = length_bytes;
        while left > 0 {
            let zeros = &ZEROS[..usize::try_from(left).map_or(ZEROS.len(), |left| left.min(ZEROS.len()))];
            writer.write(zeros)?;
            left -= zeros.len() as u64;
        }
        Ok(())
    }

    /// Flushes; whether a file behind it is durable is up to the one who redirected it. An image
    /// that is not written to its end is an error.
    fn finish(&self) -> io::Result<()> {
        let mut writer = self.writer();
        writer.inner.flush().map_err(explain)?;
        match writer.image_bytes {
            Some(image_bytes) if image_bytes != writer.position_bytes => {
                let why = format!("{} of {image_bytes} bytes were written", writer.position_bytes);
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, why))
            }
            _ => Ok(()),
        }
    }

    fn describe(&self) -> String {
        "standard output".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// Gives its bytes three at a time, then fails once, then ends.
    struct Trickle(Vec<u8>, bool);

    impl Read for Trickle {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() && std::mem::take(&mut self.1) {
                return Err(io::Error::other("trickle"));
            }
            let bytes = self.0.len().min(3).min(buffer.len());
            buffer[..bytes].copy_from_slice(&self.0[..bytes]);
            self.0.drain(..bytes);
            Ok(bytes)
        }
    }

    #[test]
    fn a_stream_fills_buffers_and_keeps_its_order() {
        let source = StdinSource::new(Trickle((0..10).collect(), false));
        assert_eq!(source.geometry().bytes, None);
        assert!(!source.can_reread());
        assert_eq!(source.identity().path, "-");
        let mut buffer = [0; 7];
        assert_eq!(source.read_at(0, &mut buffer).unwrap(), 7);
        assert_eq!(buffer, [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(source.read_at(0, &mut buffer).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(source.read_at(7, &mut buffer).unwrap(), 3);
        assert_eq!(buffer[..3], [7, 8, 9]);
        assert_eq!(source.read_at(10, &mut buffer).unwrap(), 0);
    }

    #[test]
    fn an_error_comes_after_the_bytes_before_it() {
        let source = StdinSource::new(Trickle(vec![1; 4], true));
        let mut buffer = [0; 7];
        assert_eq!(source.read_at(0, &mut buffer).unwrap(), 4);
        assert_eq!(source.read_at(4, &mut buffer).unwrap_err().to_string(), "trickle");
    }

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(data)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn output_is_ascending_and_complete() {
        let sink = Sink::default();
        let target = StdoutTarget::new(sink.clone());
        assert_eq!(target.order(), WriteOrder::Ascending);
        target.prepare(200_004, Content::Replaced).unwrap();
        target.write_at(0, b"ab").unwrap();
        target.write_zeros(2, 200_000).unwrap();
        assert_eq!(target.write_at(1, b"x").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(target.write_zeros(300_000, 1).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(target.finish().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        target.write_at(200_002, b"cd").unwrap();
        target.finish().unwrap();
        let written = sink.0.lock().unwrap();
        assert_eq!((written.len(), &written[..2], &written[200_002..]), (200_004, &b"ab"[..], &b"cd"[..]));
        assert!(written[2..200_002].iter().all(|byte| *byte == 0));
        assert_eq!(target.prepare(1, Content::Replaced).unwrap_err().kind(), ErrorKind::TargetRefused);
    }

    #[test]
    fn a_reader_that_left_is_named() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let error = StdoutTarget::new(Broken).write_at(0, b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert!(error.to_string().contains("has ended"), "{error}");
    }
}
