//! Who is at the other end of the control socket, and what that one may do: root and the socket's owner write, members
//! of the socket's group read (SO_PEERCRED, and the groups the kernel lists for that process).

use std::{os::unix::fs::MetadataExt, path::Path};

use axum::{extract::connect_info::Connected, serve::IncomingStream};
use tokio::net::UnixListener;

use crate::plane::Actor;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Write,
    Read,
    None,
}

/// A connection's other end, as the kernel saw it when it connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    uid: u32,
    groups: Vec<u32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        match stream.io().peer_cred() {
            Ok(credentials) => {
                let mut groups = vec![credentials.gid()];
                if let Some(pid) = credentials.pid() {
                    groups.extend(supplementary_groups(pid, credentials.uid()));
                }
                Peer {
                    uid: credentials.uid(),
                    groups,
                }
            }
            // Nobody: `u32::MAX` is never a valid id.
            Err(_) => Peer {
                uid: u32::MAX,
                groups: Vec::new(),
            },
        }
    }
}

impl Peer {
    /// Read from the socket at every request, so that an operator's `chgrp` takes effect at once.
    pub fn access(&self, socket: &Path) -> Access {
        match std::fs::metadata(socket) {
            Ok(socket) => self.access_to(socket.uid(), socket.gid()),
            Err(_) => self.access_to(rustix::process::geteuid().as_raw(), u32::MAX),
        }
    }

    fn access_to(&self, owner: u32, group: u32) -> Access {
        if self.uid == 0 || self.uid == owner {
            Access::Write
        } else if self.groups.contains(&group) {
            Access::Read
        } else {
            Access::None
        }
    }

    pub fn actor(&self) -> Actor {
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let name = user_name(&passwd, self.uid).unwrap_or_else(|| format!("uid {}", self.uid));
        Actor {
            name,
            uid: Some(self.uid),
        }
    }
}

/// The groups of a process. It may have ended and its number been given away since: then the user differs, or at worst
/// one who may read anyway lends a read.
fn supplementary_groups(pid: i32, uid: u32) -> Vec<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    groups_of(&status, uid).unwrap_or_default()
}

fn groups_of(status: &str, uid: u32) -> Option<Vec<u32>> {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    let effective_uid: u32 = field("Uid:")?.split_whitespace().nth(1)?.parse().ok()?;
    if effective_uid != uid {
        return None;
    }
    field("Groups:")?
        .split_whitespace()
        .map(|group| group.parse().ok())
        .collect()
}

fn user_name(passwd: &str, uid: u32) -> Option<String> {
    let uid = uid.to_string();
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_owner_write_and_the_group_reads() {
        for (uid, groups, access) in [
            (0, vec![0], Access::Write),
            (1000, vec![7], Access::Write),
            (1001, vec![5, 50], Access::Read),
            (1001, vec![5], Access::None),
            (u32::MAX, vec![], Access::None),
        ] {
            assert_eq!(Peer { uid, groups }.access_to(1000, 50), access, "{uid}");
        }
    }

    #[test]
    fn groups_count_only_for_the_same_user() {
        let status = "Name:\tx\nUid:\t1001\t1001\t1001\t1001\nGid:\t5\t5\t5\t5\nGroups:\t5 50 \n";
        assert_eq!(groups_of(status, 1001), Some(vec![5, 50]));
        assert_eq!(groups_of(status, 1002), None);
        assert_eq!(groups_of("", 1001), None);
    }

    #[test]
    fn users_have_names() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n";
        assert_eq!(user_name(passwd, 1000).as_deref(), Some("ann"));
        assert_eq!(user_name(passwd, 1), None);
    }
}
