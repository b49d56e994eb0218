//! How two ends find each other: making a segment with rings, finding one, and taking a side of it.

use super::area::Area;
use super::layout::{Kind, Layout, Side};
use super::presence::{self, Peer, Presence, claim};
use super::{ShmPair, ShmReceiver, ShmSender};
use crate::segment::{Segment, SegmentOptions};
use crate::sys;
use ipc_core::wait::nap;
use ipc_core::{Attempt, Endpoint, Error, ErrorKind, Result, Scheme, Step, Wait, Waiter, Waiting};
use std::sync::Arc;
use std::time::Duration;

/// How much a ring holds where nothing else is asked for: enough to keep both sides busy, and little
/// enough to stay in the processor's cache.
const DEFAULT_CAPACITY: usize = 1 << 20;

/// How often who waits for a name to be bound again looks.
pub(super) const PAUSE: Duration = Duration::from_millis(2);

pub(super) fn bind_sender(endpoint: Endpoint) -> Result<ShmSender> {
    let (layout, presence) = bind(&endpoint, Kind::OneWay, Side::A)?;
    sender(layout, Side::A, &presence, &endpoint)
}

pub(super) fn bind_receiver(endpoint: Endpoint) -> Result<ShmReceiver> {
    let (layout, presence) = bind(&endpoint, Kind::OneWay, Side::B)?;
    receiver(layout, Side::B, &presence, &endpoint)
}

pub(super) fn bind_pair(endpoint: Endpoint) -> Result<ShmPair> {
    let (layout, presence) = bind(&endpoint, Kind::Pair, Side::A)?;
    pair(layout, Side::A, &presence, &endpoint)
}

pub(super) fn connect_sender(endpoint: Endpoint, wait: Wait) -> Result<ShmSender> {
    let (layout, presence) = connect(&endpoint, Kind::OneWay, Side::A, wait)?;
    sender(layout, Side::A, &presence, &endpoint)
}

pub(super) fn connect_receiver(endpoint: Endpoint, wait: Wait) -> Result<ShmReceiver> {
    let (layout, presence) = connect(&endpoint, Kind::OneWay, Side::B, wait)?;
    receiver(layout, Side::B, &presence, &endpoint)
}

pub(super) fn connect_pair(endpoint: Endpoint, wait: Wait) -> Result<ShmPair> {
    let (layout, presence) = connect(&endpoint, Kind::Pair, Side::B, wait)?;
    pair(layout, Side::B, &presence, &endpoint)
}

pub(super) fn sender(
    layout: Layout,
    side: Side,
    presence: &Arc<Presence>,
    endpoint: &Endpoint,
) -> Result<ShmSender> {
    let area = area(&layout, side, presence)?;
    Ok(ShmSender::new(area, Arc::clone(presence), endpoint))
}

pub(super) fn receiver(
    layout: Layout,
    side: Side,
    presence: &Arc<Presence>,
    endpoint: &Endpoint,
) -> Result<ShmReceiver> {
    let area = area(&layout, side.other(), presence)?;
    Ok(ShmReceiver::new(area, Arc::clone(presence), endpoint))
}

pub(super) fn pair(
    layout: Layout,
    side: Side,
    presence: &Arc<Presence>,
    endpoint: &Endpoint,
) -> Result<ShmPair> {
    let sender = sender(layout, side, presence, endpoint)?;
    Ok(ShmPair::new(sender, receiver(layout, side, presence, endpoint)?))
}

/// Makes a segment in which this process has a side from the moment that others can see it.
fn bind(endpoint: &Endpoint, kind: Kind, side: Side) -> Result<(Layout, Arc<Presence>)> {
    endpoint.require(&[Scheme::Shm, Scheme::SysvShm], "bind")?;
    let capacity = endpoint.options().capacity.unwrap_or(DEFAULT_CAPACITY);
    let layout = Layout::new(kind, capacity).map_err(|error| error.at(endpoint.text()))?;
    let mut me = None;
    // All of a ring is written to, sooner or later: what cannot be had is an error now, and no crash then.
    let options = SegmentOptions::new(layout.size()).reserve(true);
    // A System V segment that nobody has attached and whose maker is dead is what a killed owner leaves.
    let segment = options.take_over(true).create_with(endpoint, |segment| {
        me = claim(segment, side);
        layout.write(segment);
        Ok(())
    });
    let segment = segment.map_err(|error| error.with_operation("bind"))?;
    let me = me.ok_or_else(|| Error::new(ErrorKind::Busy, "bind").at(endpoint.text()))?;
    Ok((layout, Arc::new(Presence::claimed(&Arc::new(segment), side, me))))
}

/// Finds a segment that somebody has bound, and takes the other side of it.
fn connect(endpoint: &Endpoint, kind: Kind, side: Side, wait: Wait) -> Result<(Layout, Arc<Presence>)> {
    endpoint.require(&[Scheme::Shm, Scheme::SysvShm], "connect")?;
    let mut attempt = Attempt::new(wait);
    let mut waiter = Waiter::new(Waiting::Block);
    loop {
        let segment = SegmentOptions::default().open(endpoint, wait);
        let segment = segment.map_err(|error| error.with_operation("connect"))?;
        let error = match join(segment, kind, side) {
            Err(error) if error.kind() == ErrorKind::NoPeer => error.at(endpoint.text()),
            joined => return joined.map_err(|error| error.at(endpoint.text())),
        };
        match attempt.next(&mut waiter) {
            Ok(Step::Look) => {}
            Ok(Step::Sleep(limit)) => {
                nap(limit.map_or(PAUSE, |limit| limit.min(PAUSE)));
            }
            Err(ErrorKind::WouldBlock) => return Err(error),
            Err(kind) => return Err(error.with_kind(kind)),
        }
    }
}

/// Takes a side of a segment whose other side is there.
fn join(segment: Segment, kind: Kind, side: Side) -> Result<(Layout, Arc<Presence>)> {
    let segment = Arc::new(segment);
    let layout = read_layout(&segment, Some(kind))?;
    match presence::look(&segment, side.other()) {
        Peer::Here => {}
        Peer::NotYet if presence::look(&segment, side) == Peer::Here => {
            let detail =
                "its owner is this very end; a sender meets a receiver, and a receiver a sender";
            return Err(Error::new(ErrorKind::Busy, "connect").with_detail(detail));
        }
        _ => return Err(no_peer("its owner is gone; the next to bind it takes the name over")),
    }
    let presence = take(&segment, side)?;
    if let Some(id) = segment.id() {
        // Both have it now, and the key is not needed any more: so nothing stays if both are killed.
        // Whoever was first has done it; nothing else can go wrong that would matter.
        let _ = sys::shm_remove(id);
    }
    Ok((layout, Arc::new(presence)))
}

/// Reads and checks the header, and whether it is of this kind, if one is asked for.
pub(super) fn read_layout(segment: &Segment, kind: Option<Kind>) -> Result<Layout> {
    let Some(layout) = Layout::read(segment)? else {
        return Err(no_peer("its maker has not finished it yet"));
    };
    if kind.is_some_and(|kind| kind != layout.kind) {
        let detail = match layout.kind {
            Kind::OneWay => "it is a ring for one sender and one receiver, and no pair",
            Kind::Pair => "it is a pair",
        };
        return Err(Error::new(ErrorKind::GeometryMismatch, "connect").with_detail(detail));
    }
    Ok(layout)
}

/// Takes a side, or says who has it.
pub(super) fn take(segment: &Arc<Segment>, side: Side) -> Result<Presence> {
    Presence::take(segment, side).ok_or_else(|| match presence::look(segment, side) {
        Peer::Gone => no_peer("a conversation is over there; its owner must bind it again for the next"),
        Peer::NotYet | Peer::Here => Error::new(ErrorKind::Busy, "connect"),
    })
}

fn no_peer(detail: &'static str) -> Error {
    Error::new(ErrorKind::NoPeer, "connect").with_detail(detail)
}

/// The memory of the ring out of a side.
fn area(layout: &Layout, from: Side, presence: &Presence) -> Result<Area> {
    Area::new(presence.segment(), layout, from, presence.fences_all())
        .ok_or_else(|| Error::new(ErrorKind::Corrupted, "connect"))
}
