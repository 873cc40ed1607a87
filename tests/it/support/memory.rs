//! Memory that runs out for a process of ours: by a control group of its own, where the machine has them, else by a limit on
//! its address space.

use std::fs;
use std::io::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use super::plan;
use super::process::Process;

/// Smaller than what any process asks for next, bytes.
const LEFT: &str = "65536";
/// How long a process may do with what it has: less than a lease, so that it is not given up before it is struck.
const ENOUGH: Duration = Duration::from_secs(2);
/// How long what was struck may take to end.
const STRUCK: Duration = Duration::from_secs(15);

/// Lets a running process have no more memory than it has, and waits until it has died of that.
pub fn take_from(process: &mut Process) -> ExitStatus {
    let pid = process.id().to_string();
    let group = Group::around(&pid);
    match &group {
        Ok(_) => plan::say(format_args!("{pid} is left without memory, by a control group")),
        Err(error) => {
            plan::say(format_args!("{pid} is left without memory, by its address space: {error}"));
            let limited = Command::new("prlimit").args(["--pid", &pid, "--as=1"]).status();
            assert!(limited.is_ok_and(|status| status.success()), "neither control groups nor prlimit");
        }
    }
    process.ended(ENOUGH).unwrap_or_else(|| {
        plan::say(format_args!(
            "{pid} limps on without asking for more, and is struck as by an out-of-memory killer"
        ));
        process.strike();
        process.wait(STRUCK)
    })
}

/// A control group; it goes with the value, once nobody is in it.
struct Group(PathBuf);

impl Group {
    /// What the process touches from now on counts here.
    fn around(pid: &str) -> Result<Group, Error> {
        let (root, limit) = match Path::new("/sys/fs/cgroup/memory").is_dir() {
            true => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            false => ("/sys/fs/cgroup", "memory.max"),
        };
        let group = Group(Path::new(root).join(format!("sendwright-it-{pid}")));
        fs::create_dir(&group.0)?;
        fs::write(group.0.join(limit), LEFT)?;
        fs::write(group.0.join("cgroup.procs"), pid)?;
        Ok(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
