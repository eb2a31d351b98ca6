//! Any bytes are read as a kept answer or refused; what is read says the same when it is written again. The checksum is put
//! right, so that what stands behind it is met.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_engine::{Tick, exact::codec};

const NOW: Tick = Tick(1_000_000_000);

fuzz_target!(|input: &[u8]| {
    let cache = "c".into();
    _ = codec::read(input, &cache, NOW, 0);
    let mut bytes = vec![1];
    bytes.extend_from_slice(&codec::checksum(input).to_le_bytes());
    bytes.extend_from_slice(input);
    let Ok(kept) = codec::read(&bytes, &cache, NOW, 0) else { return };
    let mut written = Vec::new();
    assert!(codec::write(&kept, NOW, &mut written));
    assert_eq!(codec::read(&written, &cache, NOW, 0), Ok(kept));
});
