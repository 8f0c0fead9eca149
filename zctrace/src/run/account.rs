//! Whom a command runs as.
//!
//! From `/etc/passwd` and `/etc/group` as they are: a program that is linked statically cannot ask the
//! libraries that know users of a directory (`nsswitch.conf`).

use std::{ffi::OsStr, fs};

use nix::unistd::Uid;

/// Somebody whose command can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The login name.
    pub name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Vec<u32>,
    home: String,
    shell: String,
}

impl Account {
    /// The account with this name, or this number.
    ///
    /// # Errors
    ///
    /// Says why there is none.
    pub fn find(name: &str) -> Result<Self, String> {
        let read = |path| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
        Self::among(&read("/etc/passwd")?, &read("/etc/group")?, name)
            .ok_or_else(|| format!("there is no user {name} in /etc/passwd"))
    }

    fn among(passwd: &str, group: &str, name: &str) -> Option<Self> {
        let accounts = || passwd.lines().filter_map(Self::parse);
        let mut account = accounts()
            .find(|account| account.name == name)
            .or_else(|| accounts().find(|account| account.uid.to_string() == name))?;
        for line in group.lines() {
            let mut fields = line.split(':');
            let (Some(_), Some(_), Some(gid), Some(members)) =
                (fields.next(), fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            if let Ok(gid) = gid.parse()
                && members.split(',').any(|member| member == account.name)
                && !account.groups.contains(&gid)
            {
                account.groups.push(gid);
            }
        }
        Some(account)
    }

    /// A line of `/etc/passwd`.
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<_> = line.split(':').collect();
        let &[name, _, uid, gid, _, home, shell] = &fields[..] else {
            return None;
        };
        let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
        Some(Self {
            name: name.to_owned(),
            uid,
            gid,
            groups: vec![gid],
            home: home.to_owned(),
            shell: shell.to_owned(),
        })
    }

    /// What login sets in the environment.
    pub(super) fn variables(&self) -> [(&'static str, &OsStr); 4] {
        [
            ("USER", self.name.as_ref()),
            ("LOGNAME", self.name.as_ref()),
            ("HOME", self.home.as_ref()),
            ("SHELL", self.shell.as_ref()),
        ]
    }
}

/// The name of whoever this process is.
#[must_use]
pub fn own_name() -> String {
    let uid = Uid::effective().to_string();
    Account::find(&uid).map_or_else(|_| format!("user {uid}"), |account| account.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_name_and_by_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n+nis\nbroken\nann:x:1000:1001::/home/ann:/bin/bash\n\
                      1000:x:7:7::/:/bin/sh\n";
        let group = "root:x:0:\ndisk:x:6:ann,bob\naudio:x:29:annabel\nann:x:1001:ann\n";
        let find = |name| Account::among(passwd, group, name);
        let ann = find("ann").unwrap();
        assert_eq!((ann.uid, ann.gid), (1000, 1001));
        assert_eq!(ann.groups, [1001, 6]);
        assert_eq!(ann.variables()[2], ("HOME", OsStr::new("/home/ann")));
        assert_eq!(find("0").unwrap().name, "root");
        // A name goes before a number.
        assert_eq!(find("1000").unwrap().uid, 7);
        assert_eq!(find("bob"), None);
        assert_eq!(find(""), None);
    }
}
