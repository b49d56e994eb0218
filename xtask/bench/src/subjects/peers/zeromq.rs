//! libzmq's PAIR sockets, over a Unix socket (`ipc`), TCP, and between threads (`inproc`).

use crate::subjects::{fresh_name, mark};
use crate::wire::{Ends, Result, Wire};
use std::net::TcpListener;
use zmq::{Context, Message, PAIR, Socket};

/// A PAIR socket, and the message that was received last.
pub(super) struct Zmq {
    socket: Socket,
    message: Message,
}

impl Zmq {
    fn new(context: &Context, size: usize) -> Result<Zmq> {
        let socket = context.socket(PAIR)?;
        socket.set_sndhwm(mark(size) as i32)?;
        socket.set_rcvhwm(mark(size) as i32)?;
        Ok(Zmq { socket, message: Message::new() })
    }
}

impl Wire for Zmq {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        Ok(self.socket.send(message, 0)?)
    }

    fn recv<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        self.socket.recv(&mut self.message, 0)?;
        Ok(look(&self.message))
    }
}

pub(super) fn ipc(size: usize) -> Result<Ends<Zmq>> {
    between_processes(format!("ipc://@{}", fresh_name()), size)
}

pub(super) fn tcp(size: usize) -> Result<Ends<Zmq>> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    between_processes(format!("tcp://127.0.0.1:{port}"), size)
}

/// Each process has a context of its own.
fn between_processes(endpoint: String, size: usize) -> Result<Ends<Zmq>> {
    let name = endpoint.clone();
    Ok(Ends::new(
        move || {
            let zmq = Zmq::new(&Context::new(), size)?;
            zmq.socket.connect(&endpoint)?;
            Ok(zmq)
        },
        move || {
            let zmq = Zmq::new(&Context::new(), size)?;
            zmq.socket.bind(&name)?;
            Ok(zmq)
        },
    ))
}

pub(super) fn inproc(size: usize) -> Result<Ends<Zmq>> {
    let context = Context::new();
    let same = context.clone();
    Ok(Ends::new(
        move || {
            let zmq = Zmq::new(&context, size)?;
            zmq.socket.connect("inproc://bench")?;
            Ok(zmq)
        },
        move || {
            let zmq = Zmq::new(&same, size)?;
            zmq.socket.bind("inproc://bench")?;
            Ok(zmq)
        },
    ))
}
