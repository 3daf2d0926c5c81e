//! How many descriptors may this process have, and how many of them are for clients?

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are not for clients: listeners, logs, libraries, and the files of the application. Of a small limit it is
/// a quarter.
const RESERVED: u64 = 256;

/// Raises the soft limit on open files to what `connections` and the application need, as far as the hard limit allows. Not
/// further: some programs that the application may start walk through all numbers up to it.
///
/// For the process as a whole, so this is a decision for whoever owns the process.
pub fn raise_descriptor_limit(connections: usize) {
    let limit = getrlimit(Resource::Nofile);
    let Some(current) = limit.current else { return };
    let wanted = connections as u64 + RESERVED;
    let reachable = limit.maximum.map_or(wanted, |maximum| wanted.min(maximum));
    if reachable > current
        && let Err(error) =
            setrlimit(Resource::Nofile, Rlimit { current: Some(reachable), maximum: limit.maximum })
    {
        log::warn!("the limit on open files stays at {current}: {error}");
    }
}

/// How many of `connections` this process can have.
pub(crate) fn affordable_connections(connections: usize) -> usize {
    let affordable = getrlimit(Resource::Nofile).current.map_or(usize::MAX, for_clients);
    if affordable < connections {
        log::warn!(
            "at most {affordable} connections at once, since the limit on open files (ulimit -n) allows no more"
        );
    }
    connections.min(affordable)
}

fn for_clients(limit: u64) -> usize {
    usize::try_from(limit - RESERVED.min(limit / 4)).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_left_for_others() {
        assert_eq!([0, 1, 64, 1024, 20_000].map(for_clients), [1, 1, 48, 768, 19_744]);
    }
}
