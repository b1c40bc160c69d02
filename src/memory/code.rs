//! The program's own code on huge pages.
//!
//! A small query runs once through some megabytes of code that lie all over a program of a hundred: much of its time goes into finding the
//! processor's next page of 4 KiB, the more so on a virtual machine. Linux has huge pages for a program's file only in few builds and file
//! systems, so the code is copied to anonymous memory, which has them, and the copy is put in its place. (Node.js has the same as
//! `--use-largepages`.)
//!
//! Who looks at the program from outside then sees code that is no file's: `perf` shows no names, and a probe that the kernel has put
//! into the file's pages before (a uprobe) is one no more, but would be met. `--code-huge-pages false` leaves it as it is.
//!
//! Only on x86-64: other processors have to be told that what was written is code.

use super::machine;
use std::{
    fs, io,
    ops::Range,
    ptr::{self, null_mut},
};

const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Puts all whole huge pages of the program's code on huge pages, and gives their bytes; 0 where Linux has no such pages.
///
/// Fails where Linux does not allow it (a policy against new code in memory, too little memory); everything is as it was then. Linux checks
/// what it can before the last step, in which the code has no place for a moment: if a kernel is out of memory of its own right there,
/// the program ends.
pub fn onto_huge_pages() -> io::Result<usize> {
    let modes = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    if modes.is_empty() || modes.contains("[never]") {
        return Ok(0);
    }
    let code = Code::of_this_program()?;
    code.replace()?;
    machine::code_is_anonymous(code.0.len());
    Ok(code.0.len())
}

/// Whole huge pages in a mapping of the program's file that is read and run, and written by nobody.
struct Code(Range<usize>);

impl Code {
    /// Around the code that is running.
    fn of_this_program() -> io::Result<Code> {
        let maps = fs::read_to_string("/proc/self/maps")?;
        let here = Code::of_this_program as *const () as usize;
        let mut found = maps.lines().filter_map(file_code);
        let mapping = found.find(|mapping| mapping.contains(&here)).ok_or_else(|| io::Error::other("no code of the program's file"))?;
        let (start, end) = (mapping.start.next_multiple_of(HUGE_PAGE_BYTES), mapping.end / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES);
        Ok(Code(start..end.max(start)))
    }

    fn replace(&self) -> io::Result<()> {
        let Range { start, end } = self.0;
        if start == end {
            return Ok(());
        }
        let copy = Mapping::aligned(end - start)?;
        let place = copy.start as *mut libc::c_void;
        // SAFETY: the copy is as long as the code, ours alone, and does not reach into it. The code is mapped for reading as long as the
        // program runs, and nobody writes to it. The last call takes the copy to where the code is: the same bytes, to be read and run as
        // before, so that whoever reads or runs there goes on unharmed; Linux does that under its lock, for which a thread waits that
        // misses a page meanwhile. What of the copy has no huge pages has others.
        unsafe {
            succeeded(libc::madvise(place, copy.bytes, libc::MADV_HUGEPAGE))?;
            ptr::copy_nonoverlapping(start as *const u8, place.cast(), copy.bytes);
            succeeded(libc::mprotect(place, copy.bytes, libc::PROT_READ | libc::PROT_EXEC))?;
            let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
            if libc::mremap(place, copy.bytes, copy.bytes, flags, start as *mut libc::c_void) == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
        }
        // It is elsewhere now.
        std::mem::forget(copy);
        Ok(())
    }
}

/// The place of a line of `/proc/PID/maps`, if it is code of a file that nobody writes to.
fn file_code(line: &str) -> Option<Range<usize>> {
    let mut parts = line.split_ascii_whitespace();
    let (place, rights, file) = (parts.next()?, parts.next()?, parts.nth(3)?);
    let (start, end) = place.split_once('-')?;
    let place = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
    (rights == "r-xp" && file.starts_with('/')).then_some(place)
}

/// Anonymous memory for reading and writing that nobody else knows of.
struct Mapping {
    start: usize,
    bytes: usize,
}

impl Mapping {
    fn new(bytes: usize) -> io::Result<Mapping> {
        let (rights, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: Linux chooses a place where nothing is.
        let start = unsafe { libc::mmap(null_mut(), bytes, rights, kind, -1, 0) };
        if start == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Mapping { start: start as usize, bytes }) }
    }

    /// Whole huge pages.
    fn aligned(bytes: usize) -> io::Result<Mapping> {
        let mut mapping = Mapping::new(bytes + HUGE_PAGE_BYTES)?;
        let before = mapping.start.next_multiple_of(HUGE_PAGE_BYTES) - mapping.start;
        drop(mapping.split_off(before + bytes));
        let aligned = mapping.split_off(before);
        Ok(aligned)
    }

    /// What is behind the first bytes.
    fn split_off(&mut self, bytes: usize) -> Mapping {
        let rest = Mapping { start: self.start + bytes, bytes: self.bytes - bytes };
        self.bytes = bytes;
        rest
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it is ours, and no reference into it is left. Nothing is done where it has no bytes.
        unsafe { libc::munmap(self.start as *mut libc::c_void, self.bytes) };
    }
}

fn succeeded(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::atomic::{AtomicBool, Ordering},
        thread,
    };

    fn mapping_of(address: usize) -> String {
        let maps = fs::read_to_string("/proc/self/maps").expect("Linux");
        let place = |line: &str| {
            let (start, end) = line.split(' ').next()?.split_once('-')?;
            Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
        };
        maps.lines().find(|line| place(line).is_some_and(|place| place.contains(&address))).expect("a mapping").to_string()
    }

    #[inline(never)]
    fn collatz(mut n: u64) -> u32 {
        let mut steps = 0;
        while n != 1 {
            n = if n.is_multiple_of(2) { n / 2 } else { 3 * n + 1 };
            steps += 1;
        }
        steps
    }

    #[test]
    fn code_goes_on_elsewhere_while_it_runs() {
        let here = collatz as *const () as usize;
        assert!(file_code(&mapping_of(here)).is_some(), "{}", mapping_of(here));
        let whole = Code::of_this_program().expect("a mapping").0;
        // All of a test's program would be much. Near an end of it the next page does.
        let page = (here / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES).clamp(whole.start, whole.end - HUGE_PAGE_BYTES);
        let part = Code(page..page + HUGE_PAGE_BYTES);
        let ended = AtomicBool::new(false);
        let replaced = thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !ended.load(Ordering::Relaxed) {
                        assert_eq!(collatz(27), 111);
                    }
                });
            }
            let replaced: io::Result<()> = (0..20).try_for_each(|_| part.replace());
            ended.store(true, Ordering::Relaxed);
            replaced
        });
        replaced.expect("Linux allows it");
        let there = mapping_of(page);
        assert!(there.contains("r-xp") && !there.contains('/'), "{there}");
        assert_eq!(collatz(97), 118);
    }

    #[test]
    fn only_code_of_files_is_taken() {
        let place = |line| file_code(line).map(|place| (place.start, place.end));
        assert_eq!(place("55e0-66f0 r-xp 00001000 fe:01 123   /usr/bin/a b"), Some((0x55e0, 0x66f0)));
        assert_eq!(place("55e0-66f0 r--p 00001000 fe:01 123   /usr/bin/a"), None);
        assert_eq!(place("55e0-66f0 rwxp 00001000 fe:01 123   /usr/bin/a"), None);
        assert_eq!(place("7ffc1000-7ffc2000 r-xp 00000000 00:00 0   [vdso]"), None);
        assert_eq!(place("55e0-66f0 r-xp 00000000 00:00 0 "), None);
    }
}
