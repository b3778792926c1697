//! The reader beside that of the crate `safetensors`: what both take means the same, and what only that one takes is named here.
//! Depends on the public interface alone. Invariant: `agree` holds for every sequence of bytes; the fuzzer in `fuzz/` asks the same.

#[path = "../../../fuzz/agree.rs"]
mod agree;

use adret_core::dtype::DType;
use adret_core::shape::Shape;
use adret_files::Header;
use agree::agree;

/// A file of this header and so many bytes of data.
fn file(header: &str, data: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.resize(file.len() + data, 1);
    file
}

#[test]
fn every_cut_and_every_changed_byte() {
    let header = r#"{"__metadata__":{"a":"b"},"x":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"y":{"dtype":"BOOL","shape":[],"data_offsets":[8,9]}}"#;
    let whole = file(header, 9);
    assert!(agree(&whole));
    for end in 0..whole.len() {
        assert!(!agree(&whole[..end]), "{end} of {} bytes were taken for a file", whole.len());
    }
    for place in 0..whole.len() {
        for bit in 0..8 {
            let mut changed = whole.clone();
            changed[place] ^= 1 << bit;
            agree(&changed);
        }
    }
}

#[test]
fn what_is_written_is_read_by_both() {
    let tensors = DType::ALL.iter().map(|dtype| (dtype.name().to_owned(), *dtype, Shape::new(&[3, 1]).unwrap()));
    let metadata = [("quote \" and \u{1f600}".to_owned(), "line\nline".to_owned())].into();
    let (header, mut file) = Header::new(tensors, metadata).unwrap();
    assert_eq!(file.len() % 8, 0);
    file.resize(header.bytes as usize, 0);
    assert!(agree(&file));
    assert_eq!(Header::of_file(&file).unwrap(), header);
    for entry in &header.entries {
        assert_eq!(entry.begin % entry.dtype.size() as u64, 0, "{} is not aligned", entry.name);
    }
}

/// Kept in `fuzz/corpus`: what a fuzzer found worth keeping.
#[test]
fn the_corpus() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/header");
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() > 10);
    for path in files {
        agree(&std::fs::read(path).unwrap());
    }
}
