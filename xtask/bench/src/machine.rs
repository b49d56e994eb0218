//! Where and when it is measured: what stands over the tables.

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fmt;
use std::process::Command;

/// The machine at this moment.
pub(crate) struct Machine {
    processor: String,
    kernel: String,
    date: String,
    /// How many were at work in the last minute, before this was.
    load: f64,
    /// The processors that this process may use.
    pub(crate) allowed: Vec<usize>,
}

impl Machine {
    pub(crate) fn this() -> Machine {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let model = |line: &str| line.strip_prefix("model name")?.split(": ").nth(1).map(str::to_owned);
        let processor =
            read("/proc/cpuinfo").lines().find_map(model).unwrap_or_else(|| "unknown".into());
        let virtual_machine = read("/proc/cpuinfo").contains(" hypervisor");
        let date = Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]).output();
        let date = date.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
        Machine {
            processor: processor + if virtual_machine { ", virtual" } else { "" },
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            date: date.unwrap_or_default(),
            load: read("/proc/loadavg")
                .split(' ')
                .next()
                .and_then(|load| load.parse().ok())
                .unwrap_or(0.0),
            allowed: (0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu).unwrap_or(false)).collect(),
        }
    }

    /// A word of warning, if somebody else is at work.
    pub(crate) fn warning(&self) -> Option<String> {
        let load = self.load;
        (load > 1.2)
            .then(|| format!("the load average is {load}: others are at work here, and it will show"))
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "processor": self.processor,
            "processors": self.allowed.len(),
            "kernel": self.kernel,
            "date": self.date,
            "load_average_before": self.load,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { processor, kernel, date, load, allowed } = self;
        write!(
            f,
            "{date}; {} processors ({processor}); Linux {kernel}; load before {load:.2}",
            allowed.len()
        )
    }
}
