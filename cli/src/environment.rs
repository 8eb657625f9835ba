//! The process's environment: the only place of this crate that reads it.

use std::env;
use std::path::PathBuf;

/// The home folder that `WAYPOST_HOME` names, else `~/.waypost`.
#[must_use]
pub fn home_folder() -> Option<PathBuf> {
    env::var_os("WAYPOST_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".waypost")))
        .filter(|path| !path.as_os_str().is_empty())
}

/// The first program of this name on the search path.
#[must_use]
pub fn program(name: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_on_the_search_path() {
        assert!(program("sh").is_some_and(|path| path.ends_with("sh")));
        assert_eq!(program("no-program-has-this-name"), None);
    }
}
