//! How much memory the process may have, and how much of it is resident, as Linux tells.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

/// Where a limit comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitSource {
    /// A file of a control group (cgroup) that the process is in.
    Cgroup(PathBuf),
    /// All memory of the machine.
    Machine,
    /// A flag, a variable or a file of settings.
    Setting,
    /// Nothing was found.
    Unknown,
}

impl fmt::Display for LimitSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LimitSource::Cgroup(file) => write!(f, "of the control group, {}", file.display()),
            LimitSource::Machine => f.write_str("of the machine"),
            LimitSource::Setting => f.write_str("by --memory-max"),
            LimitSource::Unknown => f.write_str("assumed: what the machine has is not known; set --memory-max"),
        }
    }
}

/// Taken where nothing is known of the machine.
const UNKNOWN_BYTES: usize = 4 << 30;

/// The least of what the machine has and what the control groups allow.
pub fn limit() -> (usize, LimitSource) {
    limit_below(Path::new("/"))
}

/// `root` is where `proc` and `sys` are.
fn limit_below(root: &Path) -> (usize, LimitSource) {
    let machine = machine_bytes(root).map(|bytes| (bytes, LimitSource::Machine));
    let groups = cgroup_files(root).into_iter().filter_map(|file| Some((read_limit(&file)?, LimitSource::Cgroup(file))));
    groups.chain(machine).min_by_key(|(bytes, _)| *bytes).unwrap_or((UNKNOWN_BYTES, LimitSource::Unknown))
}

fn machine_bytes(root: &Path) -> Option<usize> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let kibibytes = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().strip_suffix("kB")?;
    kibibytes.trim().parse::<usize>().ok()?.checked_mul(1024)
}

/// A number; `max` (v2) and what is near the largest number (v1) are no limit.
fn read_limit(file: &Path) -> Option<usize> {
    let bytes: u64 = fs::read_to_string(file).ok()?.trim().parse().ok()?;
    usize::try_from(bytes).ok().filter(|bytes| *bytes < 1 << 60)
}

/// Files that may limit the process: those of its control group and of all around it, of either version.
fn cgroup_files(root: &Path) -> Vec<PathBuf> {
    let read = |name: &str| fs::read_to_string(root.join("proc/self").join(name)).unwrap_or_default();
    let (groups, mounts) = (read("cgroup"), read("mountinfo"));
    let mut files = vec![];
    for line in groups.lines() {
        // `hierarchy:controllers:path`; version 2 names no controllers.
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(group)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let names: &[&str] = match controllers {
            "" => &["memory.max", "memory.high"],
            some if some.split(',').any(|c| c == "memory") => &["memory.limit_in_bytes"],
            _ => continue,
        };
        let Some((mount, mounted)) = mounts.lines().find_map(|line| mount_of(line, controllers.is_empty())) else { continue };
        // In a container the mount may show a part of the tree only, with the group's path still told from its top.
        let below = Path::new(group).strip_prefix(&mounted).or_else(|_| Path::new(group).strip_prefix("/"));
        let mount = root.join(mount.trim_start_matches('/'));
        let innermost = mount.join(below.unwrap_or(Path::new("")));
        let around = innermost.ancestors().take_while(|folder| folder.starts_with(&mount));
        files.extend(around.flat_map(|folder| names.iter().map(move |name| folder.join(name))));
    }
    files
}

/// Where the memory controller's files are, and which folder of its tree that is:
/// `36 31 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory`.
fn mount_of(line: &str, is_v2: bool) -> Option<(String, PathBuf)> {
    let (place, kind) = line.split_once(" - ")?;
    let mut kind = kind.split(' ');
    let is_it = match kind.next()? {
        "cgroup2" => is_v2,
        "cgroup" => !is_v2 && kind.next_back()?.split(',').any(|option| option == "memory"),
        _ => false,
    };
    let mut place = place.split(' ').skip(3);
    let (mounted, at) = (place.next()?, place.next()?);
    is_it.then(|| (at.to_string(), PathBuf::from(mounted)))
}

/// Bytes of code that are no pages of a file, but the process's own.
static ANONYMOUS_CODE: AtomicUsize = AtomicUsize::new(0);

pub fn anonymous_code() -> usize {
    ANONYMOUS_CODE.load(Ordering::Relaxed)
}

pub fn code_is_anonymous(bytes: usize) {
    ANONYMOUS_CODE.store(bytes, Ordering::Relaxed);
}

/// Resident bytes of the process that are its own: no pages of files. `None` where Linux does not tell.
pub fn resident() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?.trim().strip_suffix("kB")?;
    kibibytes.trim().parse::<usize>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files by path below a root, as Linux would show them.
    fn of(files: &[(&str, &str)]) -> (usize, String) {
        let root = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("below the root")).expect("a folder");
            fs::write(path, text).expect("written");
        }
        let (bytes, source) = limit_below(root.path());
        let source = match source {
            LimitSource::Cgroup(file) => file.strip_prefix(root.path()).expect("below the root").display().to_string(),
            other => format!("{other:?}"),
        };
        (bytes, source)
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemFree:        1 kB\nMemTotal:       1000 kB\n");
    const V2: (&str, &str) = ("proc/self/mountinfo", "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n");
    const V1: (&str, &str) = (
        "proc/self/mountinfo",
        "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n36 31 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
         41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
    );

    #[test]
    fn the_least_limit_around_the_process_counts() {
        assert_eq!(of(&[]), (4 << 30, "Unknown".into()));
        assert_eq!(of(&[MEMINFO]), (1_024_000, "Machine".into()));
        let group = ("proc/self/cgroup", "0::/a/b\n");
        let max = |path, text| of(&[MEMINFO, V2, group, (path, text)]);
        assert_eq!(max("sys/fs/cgroup/a/b/memory.max", "5000\n"), (5000, "sys/fs/cgroup/a/b/memory.max".into()));
        assert_eq!(max("sys/fs/cgroup/a/memory.max", "6000\n"), (6000, "sys/fs/cgroup/a/memory.max".into()));
        assert_eq!(max("sys/fs/cgroup/memory.high", "7000\n"), (7000, "sys/fs/cgroup/memory.high".into()));
        assert_eq!(max("sys/fs/cgroup/a/b/memory.max", "max\n"), (1_024_000, "Machine".into()));
        assert_eq!(max("sys/fs/cgroup/a/b/memory.max", "99999999\n"), (1_024_000, "Machine".into()));
        assert_eq!(max("sys/fs/cgroup/other/memory.max", "1\n"), (1_024_000, "Machine".into()));
    }

    #[test]
    fn version_1_and_containers_that_see_a_part_of_the_tree() {
        let group = ("proc/self/cgroup", "9:name=systemd:/\n4:memory:/x/y\n1:cpu:/\n0::/\n");
        let limit = "memory.limit_in_bytes";
        let v1 = |path: &str, text| of(&[MEMINFO, V1, group, (&format!("sys/fs/cgroup/memory/{path}{limit}"), text)]);
        assert_eq!(v1("x/y/", "4096\n").0, 4096);
        assert_eq!(v1("x/", "4096\n").0, 4096);
        assert_eq!(v1("x/y/", "9223372036854771712\n").0, 1_024_000);
        // Docker without a namespace of its own: the path is the host's, the mount shows what is below it.
        let mount = ("proc/self/mountinfo", "36 31 0:33 /docker/c1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
        let group = ("proc/self/cgroup", "4:memory:/docker/c1\n");
        assert_eq!(of(&[MEMINFO, mount, group, ("sys/fs/cgroup/memory/memory.limit_in_bytes", "8192\n")]).0, 8192);
    }

    #[test]
    fn this_process_is_resident() {
        let bytes = resident().expect("Linux tells");
        let held = std::hint::black_box(vec![1_u8; 64 << 20]);
        assert!(resident().expect("Linux tells") > bytes + (32 << 20), "{}", held.len());
    }
}
