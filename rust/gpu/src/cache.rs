//! What the driver compiled, kept in a file for the next process. Depends on wgpu and the standard library.
//! Invariant: a file that is missing, damaged, foreign or not to be written costs nothing but time.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What a file begins with; another one is of another format.
const MAGIC: &[u8; 8] = b"adretpc1";

/// Largest file that is read.
const LARGEST: u64 = 256 << 20;

/// A driver's cache and its file.
#[derive(Debug)]
pub(crate) struct Cache {
    pub(crate) raw: wgpu::PipelineCache,
    file: PathBuf,
    /// Whether something was compiled that the file does not hold.
    changed: AtomicBool,
}

impl Cache {
    /// The cache of an adapter; `None` where its driver has none, or the environment forbids it (`ADRET_PIPELINE_CACHE=0`).
    pub(crate) fn open(device: &wgpu::Device, info: &wgpu::AdapterInfo) -> Option<Cache> {
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let directory = directory()?;
        let mut name = DefaultHasher::new();
        (&info.name, &info.driver, &info.driver_info, env!("CARGO_PKG_VERSION")).hash(&mut name);
        let key = wgpu::util::pipeline_cache_key(info)?;
        let file = directory.join(format!("{key}_{:016x}", name.finish()));
        let data = read(&file);
        let descriptor = wgpu::PipelineCacheDescriptor { label: None, data: data.as_deref(), fallback: true };
        // SAFETY: the data came from `PipelineCache::get_data`: the file is the user's own, of this adapter, driver and version, and its
        // checksum is right.
        let raw = unsafe { device.create_pipeline_cache(&descriptor) };
        Some(Cache { raw, file, changed: AtomicBool::new(false) })
    }

    /// Notes that something was compiled.
    pub(crate) fn touch(&self) {
        self.changed.store(true, Relaxed);
    }

    /// Writes the file, if something is new. Failures are nobody's business.
    pub(crate) fn save(&self) {
        if !self.changed.swap(false, Relaxed) {
            return;
        }
        if let Some(data) = self.raw.get_data() {
            let _ = write(&self.file, &data);
        }
    }
}

/// The user's own folder for caches: `ADRET_CACHE_DIR`, or what the system has for that.
fn directory() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if std::env::var("ADRET_PIPELINE_CACHE").is_ok_and(|value| value == "0") {
        return None;
    }
    let home = || variable("HOME");
    variable("ADRET_CACHE_DIR").or_else(|| {
        let base = if cfg!(windows) {
            variable("LOCALAPPDATA")
        } else if cfg!(target_vendor = "apple") {
            home().map(|home| home.join("Library/Caches"))
        } else {
            variable("XDG_CACHE_HOME")
                .filter(|path| path.is_absolute())
                .or_else(|| home().map(|home| home.join(".cache")))
        };
        base.map(|base| base.join("adret"))
    })
}

fn checksum(data: &[u8]) -> [u8; 8] {
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    hasher.finish().to_le_bytes()
}

/// The content of a file that nobody else can have written, and that is whole.
fn read(file: &Path) -> Option<Vec<u8>> {
    let about = fs::metadata(file).ok()?;
    if !about.is_file() || about.len() > LARGEST || !private(&about) {
        return None;
    }
    let bytes = fs::read(file).ok()?;
    let (head, data) = bytes.split_at_checked(16)?;
    (head[..8] == *MAGIC && head[8..] == checksum(data)).then(|| data.to_vec())
}

#[cfg(unix)]
fn private(about: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    about.permissions().mode() & 0o022 == 0
}

#[cfg(not(unix))]
fn private(_about: &fs::Metadata) -> bool {
    true
}

/// Writes beside the file and renames, so that readers see the old content or the new one.
fn write(file: &Path, data: &[u8]) -> std::io::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("."));
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)?;
    let mut beside = file.to_path_buf();
    beside.set_extension(format!("{}.new", std::process::id()));
    let content = [&MAGIC[..], &checksum(data), data].concat();
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&beside).and_then(|mut to| std::io::Write::write_all(&mut to, &content));
    let moved = written.and_then(|()| fs::rename(&beside, file));
    if moved.is_err() {
        let _ = fs::remove_file(&beside);
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_files_are_as_none() {
        let directory = std::env::temp_dir().join(format!("adret-cache-{}", std::process::id()));
        let file = directory.join("x");
        write(&file, b"compiled").unwrap();
        assert_eq!(read(&file).unwrap(), b"compiled");
        let whole = fs::read(&file).unwrap();
        for damage in [&whole[..0], &whole[..10], &whole[..whole.len() - 1], &[&whole[..], b"x"].concat()[..]] {
            fs::write(&file, damage).unwrap();
            assert!(read(&file).is_none());
        }
        let mut other = whole.clone();
        other[0] ^= 1;
        fs::write(&file, &other).unwrap();
        assert!(read(&file).is_none() && read(&directory).is_none() && read(&directory.join("y")).is_none());
        fs::remove_dir_all(&directory).unwrap();
    }
}
