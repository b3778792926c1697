//! What must hold for every sequence of bytes that is taken for a file; used by the fuzzer and by the tests of `adret-files`.
//! Depends on `adret_files` and, as the second opinion, on `safetensors`.

use std::collections::BTreeMap;

use adret_files::Header;
use safetensors::SafeTensors;

/// Why the second reader may take what ours refuses: parts of our messages.
const STRICTER: [&str; 10] = [
    "stands in the header twice",
    "cannot be computed with here",
    "does not begin with '{'",
    "the entry is no object",
    "more elements than memory can address",
    "axes are more than",
    "unknown field",
    "__metadata__ is no object of texts",
    "__metadata__ has the name",
    "data_offsets end beyond any file",
];

/// Reads the bytes with both readers and compares; whether they are a file. Panics where the two disagree.
pub(crate) fn agree(file: &[u8]) -> bool {
    let theirs = SafeTensors::deserialize(file);
    let ours = match Header::of_file(file) {
        Ok(header) => header,
        Err(fault) => {
            assert!(fault.byte <= file.len() as u64, "{fault:?} lies beyond the {} bytes", file.len());
            let stricter = STRICTER.iter().any(|reason| fault.text.contains(reason));
            assert!(theirs.is_err() || stricter, "only we refuse: {fault:?}");
            return false;
        }
    };
    let theirs = theirs.expect("only we take the file");
    assert_eq!(ours.entries.len(), theirs.len());
    for entry in &ours.entries {
        let tensor = theirs.tensor(&entry.name).expect("the second reader misses a tensor");
        assert_eq!(tensor.shape(), &entry.shape[..]);
        assert_eq!(tensor.dtype().bitsize(), 8 * entry.dtype.size());
        let elements = &file[entry.begin as usize..(entry.begin + entry.bytes) as usize];
        assert_eq!(tensor.data(), elements);
    }
    let (_, metadata) = SafeTensors::read_metadata(file).expect("read before");
    let texts = metadata.metadata().clone().unwrap_or_default();
    assert_eq!(texts.into_iter().collect::<BTreeMap<_, _>>(), ours.metadata);
    // Written again and read again, it says the same.
    let tensors = ours.entries.iter().map(|entry| (entry.name.clone(), entry.dtype, entry.shape.clone()));
    let (written, mut bytes) = Header::new(tensors, ours.metadata).expect("what was read can be written");
    bytes.resize(written.bytes as usize, 0);
    assert_eq!(Header::of_file(&bytes), Ok(written));
    true
}
