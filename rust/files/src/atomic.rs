//! A file that replaces another as a whole.
//! Depends on the standard library. Invariant: the path leads to the earlier file until every byte of the new one is on the disk, and
//! what a failed writer leaves behind, even a killed one, is removed: by itself, or by the next writer to the path.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A new file beside the one that it will replace.
pub(crate) struct Replacement {
    writer: BufWriter<File>,
    temporary: PathBuf,
    target: PathBuf,
    finished: bool,
}

/// Tells the temporaries of one process apart.
static NEXT: AtomicU64 = AtomicU64::new(0);

impl Replacement {
    /// Begins to replace `path`, which need not be there.
    pub(crate) fn begin(path: &Path) -> io::Result<Self> {
        // A link stays a link: what it leads to is replaced.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let earlier = writable(&target)?;
        let name = target.file_name().ok_or_else(|| io::Error::from(ErrorKind::IsADirectory))?.to_owned();
        let folder = folder_of(&target);
        remove_orphans(folder, &name);
        let (file, temporary) = create(folder, &name)?;
        let begun = Self { writer: BufWriter::with_capacity(1 << 20, file), temporary, target, finished: false };
        if let Some(permissions) = earlier {
            begun.writer.get_ref().set_permissions(permissions)?;
        }
        Ok(begun)
    }

    /// Puts the new file in the earlier one's place, once it is on the disk.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.writer.flush()?;
        self.writer.get_ref().sync_all()?;
        fs::rename(&self.temporary, &self.target)?;
        self.finished = true;
        sync_folder(folder_of(&self.target))
    }
}

impl Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The earlier file's permissions, `None` where there is no such file. What could not be written in place is not replaced either:
/// a folder, a file without permission, a device.
fn writable(target: &Path) -> io::Result<Option<fs::Permissions>> {
    let kind = match fs::metadata(target) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        kind => kind?,
    };
    if !kind.is_file() && !kind.is_dir() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "neither a file nor a folder"));
    }
    OpenOptions::new().write(true).open(target)?;
    Ok(Some(kind.permissions()))
}

/// The names of temporaries: hidden, beside their target, so that a rename never crosses file systems.
fn prefix(name: &OsStr) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    prefix
}

const SUFFIX: &str = ".saving";

/// A new temporary, locked for as long as its writer lives.
fn create(folder: &Path, name: &OsStr) -> io::Result<(File, PathBuf)> {
    loop {
        let mut own = prefix(name);
        own.push(format!("{}-{}{SUFFIX}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        let temporary = folder.join(own);
        let file = match OpenOptions::new().write(true).create_new(true).open(&temporary) {
            // Left by a dead process of the same number.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
            file => file?,
        };
        // Where the file system has no locks, nobody removes orphans. A file that was found unlocked and removed is made anew.
        let taken = matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock));
        if !taken && temporary.exists() {
            return Ok((file, temporary));
        }
    }
}

/// Removes temporaries for this name whose writers are gone: nobody holds their locks.
fn remove_orphans(folder: &Path, name: &OsStr) {
    let prefix = prefix(name);
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let own = entry.file_name();
        let bytes = own.as_encoded_bytes();
        let ours = bytes.starts_with(prefix.as_encoded_bytes()) && bytes.ends_with(SUFFIX.as_bytes());
        let middle = bytes.get(prefix.len()..bytes.len().saturating_sub(SUFFIX.len())).unwrap_or(b"x");
        if !ours || !middle.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-') {
            continue;
        }
        if let Ok(file) = OpenOptions::new().write(true).open(entry.path())
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Writes a folder's list of names to the disk.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // Some file systems keep such lists by themselves; some folders may be written but not read.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::PermissionDenied
            ) =>
        {
            Ok(())
        }
        done => done,
    }
}

/// The system does so by itself.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("adret-atomic-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn an_unfinished_file_leaves_nothing() {
        let folder = folder("unfinished");
        let path = folder.join("a");
        fs::write(&path, "old").unwrap();
        let mut file = Replacement::begin(&path).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(names(&folder).len(), 2);
        drop(file);
        assert_eq!((names(&folder), fs::read(&path).unwrap()), (vec!["a".to_owned()], b"old".to_vec()));
        let mut file = Replacement::begin(&path).unwrap();
        file.write_all(b"new").unwrap();
        file.finish().unwrap();
        assert_eq!((names(&folder), fs::read(&path).unwrap()), (vec!["a".to_owned()], b"new".to_vec()));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn orphans_go_and_living_writers_stay() {
        let folder = folder("orphans");
        let path = folder.join("a");
        fs::write(folder.join(".a.1-0.saving"), "left by a dead one").unwrap();
        fs::write(folder.join(".a.b.saving"), "somebody's").unwrap();
        let mut first = Replacement::begin(&path).unwrap();
        assert!(!folder.join(".a.1-0.saving").exists() && folder.join(".a.b.saving").exists());
        first.write_all(b"first").unwrap();
        let mut second = Replacement::begin(&path).unwrap();
        second.write_all(b"second").unwrap();
        first.finish().unwrap();
        second.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        fs::remove_dir_all(folder).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn links_and_permissions_stay() {
        use std::os::unix::fs::PermissionsExt;
        let folder = folder("links");
        let (path, link) = (folder.join("a"), folder.join("link"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("a", &link).unwrap();
        Replacement::begin(&link).unwrap().finish().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(Replacement::begin(Path::new("/dev/null")).is_err());
        assert!(Replacement::begin(&folder).is_err());
        fs::remove_dir_all(folder).unwrap();
    }
}
