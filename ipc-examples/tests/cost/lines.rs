//! A line of each transport: its senders and receivers, opened in this process.
#![allow(unsafe_code, reason = "to loan and to borrow from shared memory")]

use ipc_core::{Endpoint, Options, Receiver, Result, Sender, Wait, Waiting};
use ipc_fifo::{FifoReceiver, FifoSender};
use ipc_inproc::Context;
use ipc_msgq::{MqReceiver, MqSender, SysvReceiver, SysvSender};
use ipc_shm::{ShmFanIn, ShmFanOut, ShmReceiver, ShmSender, Slow};
use ipc_socket::{Datagram, Listener, SocketPair};
use std::any::Any;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::{NamedTempFile, TempDir};

/// So many there are where there may be several.
const SEVERAL: usize = 3;

/// What goes in at one of the senders comes out at every receiver. There is one of each, mostly.
pub(crate) struct Line {
    pub(crate) senders: Vec<Box<dyn Sender>>,
    pub(crate) receivers: Vec<Box<dyn Receiver>>,
    /// Other ends, and what holds the name.
    _rest: Box<dyn Any + Send>,
    /// Whose turn it is to send.
    turn: usize,
}

impl Line {
    fn new(
        senders: Vec<Box<dyn Sender>>,
        receivers: Vec<Box<dyn Receiver>>,
        rest: impl Any + Send,
    ) -> Self {
        Line { senders, receivers, _rest: Box::new(rest), turn: 0 }
    }

    fn of(
        sender: impl Sender + 'static,
        receiver: impl Receiver + 'static,
        rest: impl Any + Send,
    ) -> Self {
        Line::new(vec![Box::new(sender)], vec![Box::new(receiver)], rest)
    }

    fn from_several<S: Sender + 'static>(
        receiver: impl Receiver + 'static,
        sender: impl Fn() -> Result<S>,
        rest: impl Any + Send,
    ) -> Self {
        let senders = (0..SEVERAL).map(|_| Box::new(sender().unwrap()) as Box<dyn Sender>).collect();
        Line::new(senders, vec![Box::new(receiver)], rest)
    }

    /// The senders take turns.
    pub(crate) fn sender(&mut self) -> &mut dyn Sender {
        self.turn = (self.turn + 1) % self.senders.len();
        &mut self.senders[self.turn]
    }

    /// Receives one message.
    pub(crate) fn recv(&mut self, size: usize) {
        for receiver in &mut self.receivers {
            assert_eq!(receiver.recv().unwrap().len(), size);
        }
    }
}

/// Two lines as two sides of a conversation: who sends into the one, receives from the other.
pub(crate) fn crossed(there: Line, back: Line) -> (Line, Line) {
    let side = |senders, receivers, rest| Line { senders, receivers, _rest: rest, turn: 0 };
    (side(there.senders, back.receivers, there._rest), side(back.senders, there.receivers, back._rest))
}

/// A name that nobody else uses.
fn fresh() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("ipc-cost-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

fn text(waiting: Waiting) -> &'static str {
    match waiting {
        Waiting::Block => "waiting=block",
        Waiting::Spin => "waiting=spin",
        _ => "waiting=adaptive",
    }
}

pub(crate) fn inproc(waiting: Waiting) -> Line {
    let options = Context::new().options().waiting(waiting);
    let (there, receiver) = options.bind("inproc://a").unwrap().split();
    let (sender, back) = options.connect("inproc://a").unwrap().split();
    Line::of(sender, receiver, (there, back))
}

pub(crate) fn inproc_from_several(waiting: Waiting) -> Line {
    let options = Context::new().options().waiting(waiting);
    let receiver = options.bind_receiver("inproc://a").unwrap();
    Line::from_several(receiver, || options.connect_sender("inproc://a"), ())
}

pub(crate) fn pipe(waiting: Waiting) -> Line {
    pipe_with(&format!("pipe://stdout?{}", text(waiting)))
}

pub(crate) fn pipe_of_lines(waiting: Waiting) -> Line {
    pipe_with(&format!("pipe://stdout?framing=lines&{}", text(waiting)))
}

fn pipe_with(endpoint: &str) -> Line {
    let options: Options = Endpoint::parse(endpoint).unwrap().options().clone();
    let (sender, receiver) = ipc_pipe::pipe_with(&options).unwrap();
    Line::of(sender, receiver, ())
}

fn fifo_receiver(waiting: Waiting) -> (TempDir, String, FifoReceiver) {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("fifo://{}/fifo?{}", folder.path().display(), text(waiting));
    let receiver = FifoReceiver::bind(&endpoint).unwrap();
    (folder, endpoint, receiver)
}

pub(crate) fn fifo(waiting: Waiting) -> Line {
    let (folder, endpoint, receiver) = fifo_receiver(waiting);
    Line::of(FifoSender::connect(endpoint).unwrap(), receiver, folder)
}

pub(crate) fn fifo_from_several(waiting: Waiting) -> Line {
    let (folder, endpoint, receiver) = fifo_receiver(waiting);
    Line::from_several(receiver, || FifoSender::connect(&endpoint), folder)
}

pub(crate) fn unix(waiting: Waiting) -> Line {
    connection(format!("unix://@{}?{}", fresh(), text(waiting)))
}

pub(crate) fn unixpacket(waiting: Waiting) -> Line {
    connection(format!("unixpacket://@{}?{}", fresh(), text(waiting)))
}

pub(crate) fn tcp(waiting: Waiting) -> Line {
    connection(format!("tcp://127.0.0.1:0?{}", text(waiting)))
}

fn connection(endpoint: String) -> Line {
    let listener = Listener::bind(endpoint).unwrap();
    let (sender, back) = SocketPair::connect(listener.endpoint()).unwrap().split();
    let (there, receiver) = listener.accept().unwrap().split();
    Line::of(sender, receiver, (there, back))
}

pub(crate) fn unixgram(waiting: Waiting) -> Line {
    datagrams(format!("unixgram://@{}?{}", fresh(), text(waiting)))
}

pub(crate) fn udp(waiting: Waiting) -> Line {
    datagrams(format!("udp://127.0.0.1:0?{}", text(waiting)))
}

fn datagrams(endpoint: String) -> Line {
    let (there, receiver) = Datagram::bind(endpoint).unwrap().split();
    let (sender, back) = Datagram::connect(there.endpoint()).unwrap().split();
    Line::of(sender, receiver, (there, back))
}

pub(crate) fn mq(waiting: Waiting) -> Line {
    let endpoint = format!("mq://{}?capacity=10&max_message=4096&{}", fresh(), text(waiting));
    let receiver = MqReceiver::bind(&endpoint).unwrap();
    Line::of(MqSender::connect(endpoint).unwrap(), receiver, ())
}

pub(crate) fn sysvmsg(waiting: Waiting) -> Line {
    let key = NamedTempFile::new().unwrap();
    let endpoint = format!("sysvmsg://{}?id=a&{}", key.path().display(), text(waiting));
    let receiver = SysvReceiver::bind(&endpoint).unwrap();
    Line::of(SysvSender::connect(endpoint).unwrap(), receiver, key)
}

pub(crate) fn shm(waiting: Waiting) -> Line {
    let (sender, receiver) = ring(waiting);
    Line::of(sender, receiver, ())
}

fn ring(waiting: Waiting) -> (ShmSender, ShmReceiver) {
    let endpoint = format!("shm://{}?{}", fresh(), text(waiting));
    let receiver = ShmReceiver::bind(&endpoint).unwrap();
    (ShmSender::connect(endpoint).unwrap(), receiver)
}

pub(crate) fn shm_in_place(waiting: Waiting) -> Line {
    let (sender, receiver) = ring(waiting);
    Line::of(Loaning(sender), Borrowing(receiver, Vec::new()), ())
}

pub(crate) fn shm_from_several(waiting: Waiting) -> Line {
    let endpoint = format!("shm://{}?{}", fresh(), text(waiting));
    let receiver = ShmFanIn::bind(&endpoint, SEVERAL).unwrap();
    Line::from_several(receiver, || ShmFanIn::connect(&endpoint), ())
}

pub(crate) fn shm_to_several(waiting: Waiting) -> Line {
    let endpoint = format!("shm://{}?{}", fresh(), text(waiting));
    let sender = ShmFanOut::bind(&endpoint, SEVERAL, Slow::Hold).unwrap();
    let receiver = |_| Box::new(ShmFanOut::connect(&endpoint).unwrap()) as Box<dyn Receiver>;
    Line::new(vec![Box::new(sender)], (0..SEVERAL).map(receiver).collect(), ())
}

/// Writes messages into the ring in place.
struct Loaning(ShmSender);

impl Sender for Loaning {
    fn send_within(&mut self, message: &[u8], wait: Wait) -> Result<()> {
        // SAFETY: the other end is in this program, which uses the memory through the crate only.
        let mut loan = unsafe { self.0.loan(message.len(), wait) }?;
        loan.copy_from_slice(message);
        loan.commit();
        Ok(())
    }
}

/// Reads messages in place. The trait lends them for longer than that, so they are copied.
struct Borrowing(ShmReceiver, Vec<u8>);

impl Receiver for Borrowing {
    fn recv_within(&mut self, wait: Wait) -> Result<&[u8]> {
        // SAFETY: the same.
        let message = unsafe { self.0.borrow(wait) }?;
        self.1.clear();
        self.1.extend_from_slice(&message);
        Ok(&self.1)
    }
}
