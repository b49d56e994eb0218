//! Ends that pass from one process to another: given to a child, and taken by it.
//!
//! Giving: a child inherits the descriptors that are not close-on-exec, under the same numbers, and all
//! of ours are close-on-exec. So that flag is taken off in the child alone, after it has been forked
//! and before it executes its program; in this process it stays, and no other child gets the end.
//!
//! Taking: which descriptors has this process inherited? Those that are not close-on-exec. Such a one is
//! duplicated, and its number then made to refer to `/dev/null`, close-on-exec: so the end can be taken
//! once only, is not passed on by accident, and the other side sees the end when the taker drops it. The
//! number is not closed, because a number that is free may be given to somebody else.

use crate::sys;
use ipc_core::{Address, Endpoint, Error, ErrorKind, Options, Result, Scheme};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::resource::{Resource, getrlimit};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Hands an end of a pipe (or any descriptor) to the child that `command` will make, and returns the
/// endpoint under which the child can open it.
///
/// The end is held by `command` until that is dropped, so drop it after `spawn`: as long as this process
/// holds a writing end, the reader sees no end. One that does not block is made to, as programs expect
/// it.
///
/// To be the child's standard input or output, a plain end is given to [`Command::stdin`] or
/// [`Command::stdout`] instead.
///
/// ```
/// use ipc_pipe::{Options, PipeReceiver, Receiver, hand_over};
/// use std::process::Command;
///
/// let (reader, writer) = std::io::pipe()?;
/// let mut command = Command::new("sh");
/// let endpoint = hand_over(writer, &mut command)?; // pipe://fd/7, say
/// let number = endpoint.to_string().replace("pipe://fd/", "");
/// command.args(["-c", "echo done > /proc/self/fd/$0", &number]);
/// let mut child = command.spawn()?;
/// drop(command);
///
/// let options = Options::default().framing("lines".parse()?);
/// let mut receiver = PipeReceiver::from_reader(reader, &options)?;
/// assert_eq!(receiver.recv()?, b"done");
/// child.wait()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// The system's, in the rare case that the end cannot be made to block.
pub fn hand_over(end: impl Into<OwnedFd>, command: &mut Command) -> Result<Endpoint> {
    let at = |error| Error::from_io(error, "hand_over");
    let end = blocking(end.into()).map_err(at)?;
    let number = end.as_raw_fd();
    sys::inherit(command, end, None);
    endpoint(number)
}

/// Like [`hand_over`], but the child gets the end as the descriptor `number`, which is 3 or more: for
/// programs that expect it there, such as `exec 3>&-` in a shell.
///
/// If something of this process has the number now, the child gets the end in its place. It must not be
/// closed before `spawn`, which would fail then with `EBUSY`: the number may have been taken by what
/// `spawn` itself needs.
///
/// ```
/// use ipc_pipe::hand_over_as;
/// use std::io::Read;
/// use std::process::Command;
///
/// let (mut reader, writer) = std::io::pipe()?;
/// let mut command = Command::new("sh");
/// command.args(["-c", "echo done >&3"]);
/// hand_over_as(writer, 3, &mut command)?;
/// let mut child = command.spawn()?;
/// drop(command); // and with it, our copy of the writing end
///
/// let mut text = String::new();
/// reader.read_to_string(&mut text)?;
/// assert_eq!(text, "done\n");
/// child.wait()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`InvalidOption`](ErrorKind::InvalidOption) if `number` is 0, 1, 2 or no descriptor's;
/// [`LimitExceeded`](ErrorKind::LimitExceeded) if it is at or over `RLIMIT_NOFILE`.
pub fn hand_over_as(end: impl Into<OwnedFd>, number: u32, command: &mut Command) -> Result<Endpoint> {
    let at = |error| Error::from_io(error, "hand_over_as");
    let wanted = RawFd::try_from(number).ok().filter(|wanted| *wanted > 2).ok_or_else(|| {
        Error::new(ErrorKind::InvalidOption, "hand_over_as").with_detail(format!(
            "the number is {number}, but must be from 3 to 2147483647; the standard streams are set \
             with Command::stdin, stdout and stderr"
        ))
    })?;
    let end = blocking(end.into()).map_err(at)?;
    if end.as_raw_fd() == wanted {
        sys::inherit(command, end, None);
        return endpoint(wanted);
    }
    // The kernel takes the next number that is free, which shows whether this one is.
    let end = sys::duplicate(end.as_raw_fd(), wanted).map_err(|error| {
        let no_such_number = error.raw_os_error() == Some(Errno::EINVAL as i32);
        let error = at(error);
        if no_such_number { over_the_limit(error, number) } else { error }
    })?;
    let occupied = end.as_raw_fd() != wanted;
    sys::inherit(command, end, occupied.then_some(wanted));
    endpoint(wanted)
}

/// Which way bytes go, seen from this process.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    In,
    Out,
}

/// A descriptor of our own for what the endpoint names.
pub(crate) fn claim(endpoint: &Endpoint, direction: Direction) -> Result<OwnedFd> {
    let claimed = match (endpoint.address(), direction) {
        (Address::Stdin, Direction::In) => claim_stdio(io::stdin().as_fd(), direction),
        (Address::Stdout, Direction::Out) => {
            // What println! has buffered was written before what we shall send.
            let _ = io::stdout().flush();
            claim_stdio(io::stdout().as_fd(), direction)
        }
        (Address::Stdin, Direction::Out) => Err(wrong_way("standard input is to receive from")),
        (Address::Stdout, Direction::In) => Err(wrong_way("standard output is to send to")),
        (Address::Descriptor(number), _) => claim_number(*number, direction),
        _ => Err(Error::new(ErrorKind::InvalidEndpoint, "open")
            .with_detail("a pipe's address is stdin, stdout or fd/N")),
    };
    claimed.map_err(|error| error.at(endpoint.text()))
}

fn claim_stdio(fd: BorrowedFd<'_>, direction: Direction) -> Result<OwnedFd> {
    let fd = fd.try_clone_to_owned().map_err(|error| not_open(error, fd.as_raw_fd()))?;
    check_direction(&fd, direction)?;
    Ok(fd)
}

fn claim_number(number: u32, direction: Direction) -> Result<OwnedFd> {
    /// Two threads that claim the same number: one shall find it taken.
    static CLAIMING: Mutex<()> = Mutex::new(());

    // The endpoint's parser lets no other numbers through.
    let number = RawFd::try_from(number).unwrap_or(-1);
    let _claiming = CLAIMING.lock().unwrap_or_else(PoisonError::into_inner);
    match sys::is_close_on_exec(number) {
        Ok(false) => {}
        Ok(true) => {
            return Err(Error::new(ErrorKind::AddrInUse, "open").with_detail(format!(
                "descriptor {number} is close-on-exec, so it was not inherited, or it has been opened \
                 by its number before"
            )));
        }
        Err(error) => return Err(not_open(error, number)),
    }
    let fd = sys::duplicate(number, 3).map_err(|error| Error::from_io(error, "open"))?;
    check_direction(&fd, direction)?;
    // The standard streams stay what they are, for std::io uses them.
    if number > 2 {
        let null = File::options().read(true).write(true).open("/dev/null");
        null.and_then(|null| sys::replace(number, &null))
            .map_err(|error| Error::from_io(error, "open").with_detail("with /dev/null"))?;
    }
    Ok(fd)
}

fn check_direction(fd: &OwnedFd, direction: Direction) -> Result<()> {
    let flags = fcntl(fd, FcntlArg::F_GETFL).map_err(|errno| Error::from_io(errno.into(), "open"))?;
    match (OFlag::from_bits_retain(flags) & OFlag::O_ACCMODE, direction) {
        (OFlag::O_WRONLY, Direction::In) => Err(wrong_way("it is open for writing only")),
        (OFlag::O_RDONLY, Direction::Out) => Err(wrong_way("it is open for reading only")),
        _ => Ok(()),
    }
}

/// Makes a descriptor block, as programs expect it.
fn blocking(fd: OwnedFd) -> io::Result<OwnedFd> {
    let flags = OFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFL)?);
    if flags.contains(OFlag::O_NONBLOCK) {
        fcntl(&fd, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    }
    if fd.as_raw_fd() > 2 { Ok(fd) } else { sys::duplicate(fd.as_raw_fd(), 3) }
}

fn endpoint(number: RawFd) -> Result<Endpoint> {
    // A descriptor in hand is never negative.
    Endpoint::new(Scheme::Pipe, Address::Descriptor(number.unsigned_abs()), Options::default())
}

fn wrong_way(detail: &'static str) -> Error {
    Error::new(ErrorKind::WrongType, "open").with_detail(detail)
}

fn not_open(error: io::Error, number: RawFd) -> Error {
    let closed = error.raw_os_error() == Some(Errno::EBADF as i32);
    let error = Error::from_io(error, "open");
    if !closed {
        return error;
    }
    error.with_kind(ErrorKind::NotFound).with_detail(format!(
        "descriptor {number} is not open; whoever starts this program has to hand it over, as the \
         shell does with {number}<FILE or {number}>FILE"
    ))
}

fn over_the_limit(error: Error, number: u32) -> Error {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft);
    let remedy =
        format!("descriptor {number} must be below it; choose a lower one, or raise it: ulimit -n");
    error.with_kind(ErrorKind::LimitExceeded).with_limit("RLIMIT_NOFILE", limit, remedy)
}
