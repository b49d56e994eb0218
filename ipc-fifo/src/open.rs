//! Waiting for what is not there yet: a name, a reader, the first writer.
//!
//! Each of these has its own way of being noticed, and none costs anything while nothing happens:
//!
//! * **A name** appears in its directory: inotify(7) tells.
//! * **A reader**, awaited by a sender that has bound. It holds the write end open meanwhile, so a reader's
//!   open(2) never blocks, and inotify tells of it.
//! * **A reader**, awaited by a sender that connects. It cannot open the write end before there is one. A
//!   reader whose open(2) blocks until there is a writer is not told of by inotify, which reports an open
//!   that is complete: both would wait for each other. So it looks by itself too, every 20 ms, for as
//!   long as it connects.
//! * **The first writer**, awaited by a receiver: poll(2) tells, see [`end`](crate::end).
//!
//! Whoever waits on an open FIFO also learns when its name is removed or comes to mean another one: nobody
//! would ever come.

use crate::end::{ReadEnd, WriteEnd, has_writer};
use crate::name::{Id, Name, Side, magic_path};
use ipc_core::{Attempt, Error, ErrorKind, Result, Step, Wait, Waiter, Waiting};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::time::TimeSpec;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

/// How often a sender that connects looks for a reader that inotify does not tell of.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Opens one end of an existing FIFO, waiting for its name, and, to write, for a reader.
pub(crate) fn connect(name: &Name, side: Side, wait: Wait) -> Result<(Id, File)> {
    let mut attempt = Attempt::new(wait);
    let mut waiter = Waiter::new(Waiting::Block);
    let mut watched = None;
    loop {
        let node = name.find("connect", true)?;
        let missing = match &node {
            None => ErrorKind::NotFound,
            Some(node) => match node.open(side) {
                Ok(file) => return Ok((node.id, file)),
                Err(error) if error.raw_os_error() == Some(Errno::ENXIO as i32) => ErrorKind::NoPeer,
                Err(error) => return Err(Error::from_io(error, "connect")),
            },
        };
        let limit = match attempt.next(&mut waiter) {
            Ok(Step::Sleep(limit)) => limit,
            Ok(Step::Look) => continue,
            Err(ErrorKind::WouldBlock) => return Err(Error::new(missing, "connect")),
            Err(kind) => {
                let detail = match missing {
                    ErrorKind::NotFound => "there is nothing of that name",
                    _ => "nobody has it open for reading",
                };
                return Err(Error::new(kind, "connect").with_detail(detail));
            }
        };
        let awaited = node.as_ref().map(|node| node.id);
        let watch = match &mut watched {
            Some((what, watch)) if *what == awaited => watch,
            // What happens from now on is noticed; what has happened until now is found by looking.
            _ => {
                let watch = match &node {
                    None => Watch::directory(&name.directory_path()),
                    Some(node) => Watch::file(&node.path()),
                };
                watched = Some((awaited, watch));
                continue;
            }
        };
        let often = node.is_some().then_some(LOOK_AGAIN);
        watch.sleep(None, least(limit, often)).map_err(|error| Error::from_io(error, "connect"))?;
    }
}

/// Waiting for the first peer on a FIFO that is open already.
#[derive(Debug)]
pub(crate) struct Meeting {
    name: Name,
    id: Id,
    waiter: Waiter,
    watch: Option<Watch>,
}

impl Meeting {
    pub(crate) fn new(name: Name, id: Id, waiting: Option<Waiting>) -> Self {
        Meeting { name, id, waiter: Waiter::new(waiting.unwrap_or_default()), watch: None }
    }

    /// Waits until a writer has come, and has written something or left again.
    pub(crate) fn writer(&mut self, end: &ReadEnd, wait: Wait) -> Result<()> {
        let met = || end.is_ready();
        // One that has come and says nothing is asked for only if the name is gone.
        let hope = || Ok(has_writer(end.as_fd())? || end.is_ready()?);
        self.until("recv", (end.as_fd(), PollFlags::POLLIN), wait, met, hope)
    }

    /// Waits until a reader is there.
    pub(crate) fn reader(&mut self, end: &WriteEnd, wait: Wait, operation: &'static str) -> Result<()> {
        let met = || end.has_reader();
        // The write end would always be ready, in error: only inotify is waited on.
        self.until(operation, (end.as_fd(), PollFlags::empty()), wait, met, met)
    }

    /// Waits until they have `met`, on inotify and on `fd` for `events`; fails with `Removed` if the name is
    /// gone and there is no `hope` that they meet without it.
    fn until(
        &mut self,
        operation: &'static str,
        (fd, events): (BorrowedFd<'_>, PollFlags),
        wait: Wait,
        met: impl Fn() -> io::Result<bool>,
        hope: impl Fn() -> io::Result<bool>,
    ) -> Result<()> {
        let system = |error| Error::from_io(error, operation);
        let also = (!events.is_empty()).then_some(fd);
        let mut attempt = Attempt::new(wait);
        loop {
            if met().map_err(system)? {
                attempt.succeeded(&mut self.waiter);
                self.watch = None;
                return Ok(());
            }
            let step = attempt.next(&mut self.waiter);
            if step == Ok(Step::Look) {
                continue;
            }
            if !self.name.means(self.id) && !hope().map_err(system)? {
                let detail = "the name is gone, or means another FIFO now; nobody will come to this one";
                return Err(Error::new(ErrorKind::Removed, operation).with_detail(detail));
            }
            match (step, &self.watch) {
                (Ok(Step::Sleep(limit)), Some(watch)) => watch.sleep(also, limit).map_err(system)?,
                // What happens from now on is noticed; what has happened until now is found by looking.
                (Ok(_), _) => self.watch = Some(Watch::file(&magic_path(fd))),
                (Err(ErrorKind::TimedOut), _) => {
                    let error = Error::new(ErrorKind::TimedOut, operation);
                    return Err(error.with_detail("nobody has opened the other end"));
                }
                (Err(kind), _) => return Err(Error::new(kind, operation)),
            }
        }
    }
}

/// Notices what happens to a file, or to the names in a directory. Where the system has no inotify left,
/// it looks often instead.
#[derive(Debug)]
struct Watch {
    inotify: Option<Inotify>,
}

impl Watch {
    fn directory(path: &Path) -> Watch {
        let arrivals = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        Watch::new(path, arrivals | AddWatchFlags::IN_ONLYDIR)
    }

    /// Opened, or another name or none: `IN_ATTRIB` is also the number of its names.
    fn file(path: &Path) -> Watch {
        let gone =
            AddWatchFlags::IN_ATTRIB | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_DELETE_SELF;
        Watch::new(path, AddWatchFlags::IN_OPEN | gone)
    }

    fn new(path: &Path, events: AddWatchFlags) -> Watch {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok();
        let inotify = inotify.filter(|inotify| inotify.add_watch(path, events).is_ok());
        Watch { inotify }
    }

    /// Sleeps until something has happened, or can be read from `also`, or the time is over.
    fn sleep(&self, also: Option<BorrowedFd<'_>>, limit: Option<Duration>) -> io::Result<()> {
        let limit = if self.inotify.is_some() { limit } else { least(limit, Some(LOOK_AGAIN)) };
        let watched = self.inotify.as_ref().map(AsFd::as_fd);
        let fds = [watched.or(also), also];
        let mut fds = fds.map(|fd| fd.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        let mut fds: Vec<_> = fds.iter_mut().filter_map(Option::take).collect();
        match ppoll(&mut fds, limit.map(TimeSpec::from), None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        // What it was does not matter: the caller looks.
        while self.inotify.as_ref().is_some_and(|inotify| inotify.read_events().is_ok()) {}
        Ok(())
    }
}

fn least(limit: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    limit.into_iter().chain(other).min()
}
