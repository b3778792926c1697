//! The device's form of elements: narrow ones as words, 16-bit floats as they are. Depends on the core's vocabulary.
//! Invariant: there and back gives the same bytes.

use std::borrow::Cow;

use adret_core::dtype::DType;
use adret_core::error::{Error, Result};
use adret_core::wgsl::{WORD_BYTES, element_bytes};

/// Fails for dtypes that the device does not store.
///
/// # Errors
/// Names the dtype and what to do.
pub(crate) fn check_dtype(dtypes: &[DType], dtype: DType) -> Result<()> {
    if dtypes.contains(&dtype) {
        return Ok(());
    }
    Err(Error::dtype(format!(
        "gpu: this adapter stores no {dtype}. Use astype to float32, int32 or uint32 before, or the CPU."
    )))
}

/// Elements of `dtype` as the device stores them, in whole words.
pub(crate) fn widened(dtype: DType, data: &[u8]) -> Cow<'_, [u8]> {
    let words = |word: &mut dyn FnMut(&[u8]) -> u32| -> Cow<'_, [u8]> {
        data.chunks_exact(dtype.size()).flat_map(|element| word(element).to_le_bytes()).collect::<Vec<u8>>().into()
    };
    match dtype {
        DType::Bool => words(&mut |element| u32::from(element[0] != 0)),
        DType::U8 => words(&mut |element| u32::from(element[0])),
        DType::I8 => words(&mut |element| i32::from(element[0] as i8) as u32),
        DType::U16 => words(&mut |element| u32::from(u16::from_ne_bytes([element[0], element[1]]))),
        DType::I16 => words(&mut |element| i32::from(i16::from_ne_bytes([element[0], element[1]])) as u32),
        _ if data.len().is_multiple_of(WORD_BYTES) => data.into(),
        _ => {
            let mut padded = data.to_vec();
            padded.resize(data.len().next_multiple_of(WORD_BYTES), 0);
            padded.into()
        }
    }
}

/// Writes the elements that the device's bytes stand for.
pub(crate) fn narrow(dtype: DType, words: &[u8], data: &mut [u8]) {
    let size = dtype.size();
    if size == element_bytes(dtype) {
        data.copy_from_slice(&words[..data.len()]);
        return;
    }
    // The low bytes of a little-endian word are the element.
    for (element, word) in data.chunks_exact_mut(size).zip(words.chunks_exact(WORD_BYTES)) {
        element.copy_from_slice(&word[..size]);
    }
}

/// Smallest and largest of integers; `None` of none, and of other dtypes.
pub(crate) fn integers(dtype: DType, data: &[u8]) -> Option<(i64, i64)> {
    let over = |value: &dyn Fn(&[u8]) -> i64| {
        data.chunks_exact(dtype.size()).fold(None, |range: Option<(i64, i64)>, element| {
            let value = value(element);
            Some(range.map_or((value, value), |(low, high)| (low.min(value), high.max(value))))
        })
    };
    match dtype {
        DType::U8 => over(&|element| element[0].into()),
        DType::I8 => over(&|element| (element[0] as i8).into()),
        DType::U16 => over(&|element| u16::from_ne_bytes([element[0], element[1]]).into()),
        DType::I16 => over(&|element| i16::from_ne_bytes([element[0], element[1]]).into()),
        DType::I32 => over(&|element| element.try_into().map_or(0, |bytes| i32::from_ne_bytes(bytes).into())),
        DType::U32 => over(&|element| element.try_into().map_or(0, |bytes| u32::from_ne_bytes(bytes).into())),
        DType::I64 => over(&|element| element.try_into().map_or(0, i64::from_ne_bytes)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use adret_core::wgsl::DTYPES;

    use super::*;

    #[test]
    fn narrow_elements_survive_the_journey() {
        for dtype in DTYPES.into_iter().filter(|dtype| dtype.size() < WORD_BYTES) {
            let data: Vec<u8> =
                if dtype == DType::Bool { vec![0, 1, 1, 0] } else { (0..=255).chain([7, 200]).collect() };
            let words = widened(dtype, &data);
            let mut back = vec![0; data.len()];
            narrow(dtype, &words, &mut back);
            assert_eq!(back, data, "{dtype}");
        }
        assert_eq!(*widened(DType::I8, &[0xff]), [0xff; 4]);
        assert_eq!(*widened(DType::U16, &[0xff, 0xff]), [0xff, 0xff, 0, 0]);
        assert_eq!(*widened(DType::F16, &[1, 2]), [1, 2, 0, 0]);
    }

    #[test]
    fn ranges_of_integers() {
        assert_eq!(integers(DType::I8, &[3, 0xff, 7]), Some((-1, 7)));
        assert_eq!(integers(DType::U8, &[3, 0xff]), Some((3, 255)));
        assert_eq!((integers(DType::I32, &[]), integers(DType::F32, &[0; 4])), (None, None));
    }
}
