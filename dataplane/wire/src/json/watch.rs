//! The paths a walk looks for, taken apart.

use super::cursor::MAX_PATH_KEYS;
use super::text;

/// Paths of one to three keys, for `cursor::find_watched`. `Watch::new` belongs in a `const`, where it costs nothing.
#[derive(Clone, Copy, Debug)]
pub struct Watch<'p, const N: usize> {
    keys: [[&'p [u8]; MAX_PATH_KEYS]; N],
    /// Index of each path's last key.
    last: [u8; N],
}

/// Those paths that a key belongs to. A set is a `u64` with a bit per path.
#[derive(Clone, Copy)]
pub(super) struct Paths {
    /// The key is their last.
    pub end_here: u64,
    /// The key leads on to their next.
    pub go_on: u64,
}

impl Paths {
    pub const NONE: Paths = Paths { end_here: 0, go_on: 0 };
}

impl<'p, const N: usize> Watch<'p, N> {
    /// Panics when there are more than 64 paths or more than three keys in one: the paths are our own constants.
    pub const fn new(paths: &[&'p str; N]) -> Self {
        assert!(N <= 64, "more than 64 paths");
        let mut watch = Watch {
            keys: [[&[]; MAX_PATH_KEYS]; N],
            last: [0; N],
        };
        let mut i = 0;
        while i < N {
            let mut rest = paths[i].as_bytes();
            let mut at = 0;
            while at < rest.len() {
                if rest[at] == b'.' {
                    let (key, tail) = rest.split_at(at);
                    assert!(
                        (watch.last[i] as usize) < MAX_PATH_KEYS - 1,
                        "more than three keys in a path"
                    );
                    watch.keys[i][watch.last[i] as usize] = key;
                    watch.last[i] += 1;
                    rest = tail.split_at(1).1;
                    at = 0;
                } else {
                    at += 1;
                }
            }
            watch.keys[i][watch.last[i] as usize] = rest;
            i += 1;
        }
        watch
    }

    pub(super) fn all(&self) -> u64 {
        if N == 64 { u64::MAX } else { (1 << N) - 1 }
    }

    /// Of the paths `alive` in an object on `level`, those whose key there is `key` (between its quotes, escapes and all).
    #[inline(always)]
    pub(super) fn matching(&self, alive: u64, level: usize, key: &[u8], escapes: bool) -> Paths {
        let mut paths = Paths::NONE;
        for i in 0..N {
            let wanted = self.keys[i][level];
            let same = if escapes {
                text::is(key, wanted)
            } else {
                wanted.len() == key.len() && wanted == key
            };
            if same && alive >> i & 1 == 1 {
                if self.last[i] as usize == level {
                    paths.end_here |= 1 << i;
                } else {
                    paths.go_on |= 1 << i;
                }
            }
        }
        paths
    }
}
