//! What goes through the kernel: pipes, FIFOs, sockets, message queues.

use super::{Halves, Whole, soon};
use crate::subjects::fresh_name;
use crate::wire::{Ends, Result};
use ipc_core::{Endpoint, Options};
use ipc_fifo::{FifoReceiver, FifoSender};
use ipc_msgq::{MqPair, SysvPair};
use ipc_pipe::{PipeReceiver, PipeSender};
use ipc_socket::{Datagram, Listener, SocketPair};
use std::net::{TcpListener, UdpSocket};

/// Two pipes, made before the fork.
pub(super) fn pipe(options: &str) -> Result<Ends<Halves<PipeSender, PipeReceiver>>> {
    let options: Options = Endpoint::parse(format!("pipe://fd/0{options}"))?.options().clone();
    let (near_reader, far_writer) = std::io::pipe()?;
    let (far_reader, near_writer) = std::io::pipe()?;
    let open = |reader, writer, options: Options| {
        move || {
            let sender = PipeSender::from_writer(writer, &options)?;
            Ok(Halves(sender, PipeReceiver::from_reader(reader, &options)?))
        }
    };
    Ok(Ends::new(open(near_reader, near_writer, options.clone()), open(far_reader, far_writer, options)))
}

/// Two FIFOs, each bound by who reads from it.
pub(super) fn fifo(options: &str) -> Result<Ends<Halves<FifoSender, FifoReceiver>>> {
    let folder = std::env::temp_dir();
    let fifo = |side| format!("fifo://{}/{}-{side}{options}", folder.display(), fresh_name());
    let (to_near, to_far) = (fifo("near"), fifo("far"));
    let open = |mine: String, other: String| {
        move || {
            let receiver = FifoReceiver::bind(mine)?;
            Ok(Halves(FifoSender::connect_within(other, soon())?, receiver))
        }
    };
    Ok(Ends::new(open(to_near.clone(), to_far.clone()), open(to_far, to_near)))
}

/// A Unix stream.
pub(super) fn unix(options: &str) -> Result<Ends<Whole<SocketPair>>> {
    connection(format!("unix://@{}{options}", fresh_name()))
}

/// Unix sequenced packets.
pub(super) fn unixpacket(options: &str) -> Result<Ends<Whole<SocketPair>>> {
    connection(format!("unixpacket://@{}{options}", fresh_name()))
}

fn connection(endpoint: String) -> Result<Ends<Whole<SocketPair>>> {
    let name = endpoint.clone();
    Ok(Ends::new(
        move || Ok(Whole(SocketPair::connect_within(endpoint, soon())?)),
        move || Ok(Whole(Listener::bind(name)?.accept_within(soon())?)),
    ))
}

/// TCP over the loopback interface. The listener is made before the fork, so that its port is known.
pub(super) fn tcp(options: &str) -> Result<Ends<Whole<SocketPair>>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let endpoint = format!("tcp://{}{options}", listener.local_addr()?);
    let name = endpoint.clone();
    Ok(Ends::new(
        move || Ok(Whole(SocketPair::connect_within(endpoint, soon())?)),
        move || Ok(Whole(Listener::from_fd(listener.into(), name)?.accept_within(soon())?)),
    ))
}

/// UDP over the loopback interface; as with TCP.
pub(super) fn udp(options: &str) -> Result<Ends<Whole<Datagram>>> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let endpoint = format!("udp://{}{options}", socket.local_addr()?);
    let name = endpoint.clone();
    Ok(Ends::new(
        move || Ok(Whole(Datagram::connect_within(endpoint, soon())?)),
        move || Ok(Whole(Datagram::from_fd(socket.into(), name)?)),
    ))
}

/// Unix datagrams.
pub(super) fn unixgram(options: &str) -> Result<Ends<Whole<Datagram>>> {
    let endpoint = format!("unixgram://@{}{options}", fresh_name());
    let name = endpoint.clone();
    Ok(Ends::new(
        move || Ok(Whole(Datagram::connect_within(endpoint, soon())?)),
        move || Ok(Whole(Datagram::bind(name)?)),
    ))
}

/// Two POSIX queues.
pub(super) fn mq(options: &str) -> Result<Ends<Whole<MqPair>>> {
    let endpoint = format!("mq://{}{options}", fresh_name());
    let name = endpoint.clone();
    Ok(Ends::new(
        move || Ok(Whole(MqPair::connect_within(endpoint, soon())?)),
        move || Ok(Whole(MqPair::bind(name)?)),
    ))
}

/// A System V queue, two types of messages in it.
pub(super) fn sysvmsg(options: &str) -> Result<Ends<Whole<SysvPair>>> {
    let unique =
        fresh_name().rsplit('-').next().and_then(|count| count.parse::<u32>().ok()).unwrap_or(0);
    // A key that ends with this process, and says which round it is.
    let key = 0x4000_0000 | (unique & 0x1fff) << 16 | (std::process::id() & 0xffff);
    let endpoint = format!("sysvmsg://0x{key:08x}{options}");
    let name = endpoint.clone();
    Ok(Ends::new(
        move || Ok(Whole(SysvPair::connect_within(endpoint, soon())?)),
        move || Ok(Whole(SysvPair::bind(name)?)),
    ))
}
