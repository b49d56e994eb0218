#![allow(clippy::unwrap_used)]
//! x
use ipc_fifo::*;
#[test]
fn it_works() {
    let d = tempfile::tempdir().unwrap();
    let e = format!("fifo://{}/x", d.path().display());
    let mut r = FifoReceiver::bind(&e).unwrap();
    let mut s = FifoSender::connect(&e).unwrap();
    let big: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
    let b2 = big.clone();
    let t = std::thread::spawn(move || {
        s.send(b"hello").unwrap();
        s.send(&b2).unwrap();
        s.send(b"").unwrap();
    });
    assert_eq!(r.recv().unwrap(), b"hello");
    assert_eq!(r.recv().unwrap(), big);
    assert_eq!(r.recv().unwrap(), b"");
    assert_eq!(r.recv().unwrap_err().kind(), ErrorKind::Disconnected);
    t.join().unwrap();
    drop(r);
    assert_eq!(std::fs::read_dir(d.path()).unwrap().count(), 0);
    let mut s = FifoSender::bind(&e).unwrap();
    assert_eq!(s.try_send(b"x").unwrap_err().kind(), ErrorKind::WouldBlock);
    let e2 = e.clone();
    let t = std::thread::spawn(move || {
        let mut r = FifoReceiver::connect(&e2).unwrap();
        r.recv_vec().unwrap()
    });
    s.send(b"yes").unwrap();
    assert_eq!(t.join().unwrap(), b"yes");
    assert_eq!(s.send(b"yes").unwrap_err().kind(), ErrorKind::Disconnected);
}
