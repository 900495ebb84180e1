//! The kernel's memory of one end of a TCP connection, as it waits: what a server's own memory for it is compared with.
//!
//! What an object takes of its slab's pages is taken from slabinfo(5), which root alone may read: the socket, its inode, the open file
//! and its name. Buffers and timers of a connection that is at work come on top.

use std::fs;

use super::{Measure, Place, Round};

const SLABINFO: &str = "/proc/slabinfo";
const OBJECTS: [&str; 4] = ["TCP", "sock_inode_cache", "filp", "dentry"];

/// The sum, where it is known.
pub(super) struct Slab(Option<f64>);

impl Slab {
    /// Reads it, or says why it can't be read.
    pub(super) fn read() -> Slab {
        let text = fs::read_to_string(SLABINFO).map_err(|error| format!("{error} (root may read it)"));
        match text.and_then(|text| sum(&text, rustix::param::page_size())) {
            Ok(bytes) => Slab(Some(bytes)),
            Err(what) => {
                eprintln!("loadgen: {SLABINFO}: {what}: a socket's memory is not measured");
                Slab(None)
            }
        }
    }
}

impl Measure for Slab {
    fn measure(&mut self, _: &Place, round: &mut Round) -> Result<(), String> {
        round.put("socket_slab_bytes", self.0.unwrap_or(f64::NAN));
        Ok(())
    }
}

/// `name <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> …`, a line a cache; a kernel may have merged one into another.
fn sum(text: &str, page_bytes: usize) -> Result<f64, String> {
    let size = |name: &str| {
        let mut lines = text.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
        let line = lines.find(|line| line.first() == Some(&name))?;
        let field = |at: usize| line.get(at)?.parse::<f64>().ok().filter(|value| *value > 0.0);
        Some(field(5)? * page_bytes as f64 / field(4)?)
    };
    OBJECTS.iter().map(|name| size(name).ok_or_else(|| format!("no size of {name} in it"))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "slabinfo - version: 2.1\n# name <active_objs>\nTCPv6 1 2 2496 13 8 : tunables 0\n\
        TCP 65 117 2368 13 8 : tunables 0\nsock_inode_cache 209 209 832 19 4 : tunables 0\nfilp 833 945 192 21 1 : t\n\
        dentry 2 3 192 21 1 : t\n";

    #[test]
    fn sizes_of_the_objects_of_one_end() {
        assert_eq!(sum(TEXT, 4096), Ok(32768.0 / 13.0 + 16384.0 / 19.0 + 4096.0 / 21.0 + 4096.0 / 21.0));
        assert_eq!(sum(&TEXT.replace("filp", "merged"), 4096), Err("no size of filp in it".into()));
        assert!(sum("", 4096).is_err());
    }
}
