//! Each stage of a backup and a restore, alone, on generated data.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use holotype_benches::generated::GeneratedDisk;
use holotype_benches::stages::Stages;
use holotype_core::RepositoryId;
use holotype_core::compress::{Compression, Decompressor};
use holotype_core::frame::{FrameKind, FrameOrigin, OpenedFrame, PackKey};
use holotype_core::secret::Secret32;
use holotype_repo::disk::Source;
use std::hint::black_box;

const SAMPLE_BYTES: usize = 16 << 20;

fn sample() -> Vec<u8> {
    let disk = GeneratedDisk { bytes: SAMPLE_BYTES as u64, unique: 56, seed: 1 };
    let mut sample = vec![0; SAMPLE_BYTES];
    disk.read_at(0, &mut sample).expect("it is generated");
    sample
}

fn stages(criterion: &mut Criterion) {
    let (sample, stages) = (sample(), Stages::default());
    let segments = stages.scan(&sample);
    let data: usize = segments.iter().map(|range| range.len()).sum();
    let chunks = stages.name(&sample, stages.chunk(&sample, &segments));
    let mut group = criterion.benchmark_group("stage");
    group.sample_size(10);

    group.throughput(Throughput::Bytes(SAMPLE_BYTES as u64));
    group.bench_function("zero and padding detection", |bench| bench.iter(|| stages.scan(black_box(&sample))));
    group.throughput(Throughput::Bytes(data as u64));
    group.bench_function("FastCDC", |bench| bench.iter(|| stages.chunk(black_box(&sample), &segments)));
    let ranges: Vec<_> = chunks.iter().map(|(range, _)| range.clone()).collect();
    group.bench_function("keyed BLAKE3", |bench| bench.iter(|| stages.name(black_box(&sample), ranges.clone())));
    for level in [1, 3, 9] {
        group.bench_function(format!("zstd {level}"), |bench| {
            bench.iter(|| stages.compress(black_box(&sample), &chunks, Compression::Zstd(level)));
        });
    }
    let compress = || stages.compress(&sample, &chunks, Compression::default());
    let sealed_bytes: usize = compress().iter().map(|frame| frame.sealed_len()).sum();
    group.throughput(Throughput::Bytes(sealed_bytes as u64));
    group.bench_function("seal", |bench| {
        bench.iter_batched(compress, |frames| stages.seal(frames), criterion::BatchSize::LargeInput);
    });
    let sealed = stages.seal(compress());
    let key = PackKey::new(&Secret32::new([2; 32]));
    group.throughput(Throughput::Bytes(data as u64));
    group.bench_function("open and decompress", |bench| {
        bench.iter_batched(
            || sealed.iter().map(|frame| frame.bytes.clone()).collect::<Vec<_>>(),
            |frames| {
                let mut decompressor = Decompressor::default();
                for (number, mut bytes) in frames.into_iter().enumerate() {
                    let origin = FrameOrigin { salt: [3; 32], number: number as u32, key_epoch: 1 };
                    let repository = RepositoryId([4; 16]);
                    let kind = FrameKind::Chunks;
                    black_box(OpenedFrame::open(&mut bytes, kind, &repository, &key, &origin, &mut decompressor))
                        .expect("it was just sealed");
                }
            },
            criterion::BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, stages);
criterion_main!(benches);
