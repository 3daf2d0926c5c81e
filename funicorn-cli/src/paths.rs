//! Which directories are meant? Those that the paths lead to from the directory of the start, after `--chdir`, wherever the
//! application goes later.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::{Config, ConfigError};

impl Config {
    /// Makes relative paths absolute, for an application may change the directory. To be called where they are meant from.
    ///
    /// # Errors
    /// When there is no working directory.
    pub(crate) fn fix_paths(&mut self) -> Result<(), ConfigError> {
        let fixed = std::path::absolute(&self.spool_dir);
        self.spool_dir = fixed.map_err(|error| ConfigError::SpoolDir(self.spool_dir.clone(), error))?;
        for entry in &mut self.pythonpath {
            // Where there is no directory any more, the import says so.
            *entry = std::path::absolute(&*entry).unwrap_or_else(|_| entry.clone());
        }
        Ok(())
    }

    /// Looks at the spool directory before the first upload does.
    pub(crate) fn check_spool_dir(&self) -> Result<(), ConfigError> {
        let check = || {
            if !fs::metadata(&self.spool_dir)?.is_dir() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            Ok(rustix::fs::access(
                &self.spool_dir,
                rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK,
            )?)
        };
        check().map_err(|error| ConfigError::SpoolDir(self.spool_dir.clone(), error))?;
        if is_memory(&self.spool_dir) {
            let dir = self.spool_dir.display();
            log::warn!(
                "{dir} is in memory (tmpfs), so large bodies that wait there will be too; set --spool-dir to a directory on a disk"
            );
        }
        Ok(())
    }
}

/// `$TMPDIR` is somebody's decision; otherwise `/var/tmp`, which is on a disk where `/tmp` is often memory
/// (a spooled body would be memory again); `/tmp` where there is nothing else.
pub(crate) fn default_spool_dir() -> PathBuf {
    let var_tmp = Path::new("/var/tmp");
    let is_usable = || rustix::fs::access(var_tmp, rustix::fs::Access::WRITE_OK).is_ok();
    match std::env::var_os("TMPDIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => dir.into(),
        None if is_usable() => var_tmp.to_owned(),
        None => "/tmp".into(),
    }
}

/// The shell's way to write directories, and gunicorn's.
pub(crate) fn split_dirs(dirs: &OsStr) -> impl Iterator<Item = PathBuf> {
    let parts = dirs.as_bytes().split(|byte| b":,".contains(byte));
    parts.map(|dir| OsStr::from_bytes(dir).into())
}

fn is_memory(dir: &Path) -> bool {
    const TMPFS: u64 = 0x0102_1994;
    rustix::fs::statfs(dir).is_ok_and(|status| status.f_type as u64 == TMPFS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(args: &[&str]) -> Config {
        let args = ["/bin/funicorn"].iter().chain(args).chain(&["app"]);
        Config::from_args(args.map(Into::into).collect()).unwrap()
    }

    #[test]
    fn paths_that_are_used_later_become_absolute() {
        let mut config =
            config(&["--spool-dir", "s", "--pythonpath", "a:b,c", "--bind", "unix:x", "--python", "python3"]);
        config.fix_paths().unwrap();
        let here = std::env::current_dir().unwrap();
        assert_eq!(config.spool_dir, here.join("s"));
        assert_eq!(config.pythonpath, ["a", "b", "c"].map(|name| here.join(name)));
        // What is used at once stays as short as it is: the path of a Unix socket may not be long. A bare name is looked up on PATH.
        assert_eq!(config.bind, ["unix:x".parse().unwrap()]);
        assert_eq!(config.python, Some("python3".into()));
    }

    #[test]
    fn a_spool_dir_must_be_a_directory_that_can_be_written() {
        let mut config = config(&[]);
        config.check_spool_dir().unwrap();
        for path in ["/no/such/dir", "/etc/passwd"] {
            config.spool_dir = path.into();
            assert!(matches!(config.check_spool_dir(), Err(ConfigError::SpoolDir(..))), "{path}");
        }
    }
}
