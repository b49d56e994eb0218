//! Pauses on the way: when it pays not to look at once.
//!
//! Two threads that look at the same memory all the time keep taking it away from each other, and each is
//! slowed down by the other's impatience. So whoever is a little faster than its peer lets it get ahead
//! for a moment, and then finds many messages to take, or room for many, at the price of one look:
//!
//! * A sender at its limit pauses before it looks again, always: nobody waits for it.
//! * A receiver that reads long messages as fast as they come would lock the depot for each one, just while
//!   the sender wants to lock it for the next. It pauses before it fetches the first; see [`Patience`].

use std::hint::spin_loop;

/// Sixteen of the processor's own pauses, each of which takes some ten to some hundred clock cycles: a sixth of a microsecond where it was
/// measured.
pub(crate) fn pause() {
    for _ in 0..16 {
        spin_loop();
    }
}

/// Decides where a receiver pauses.
///
/// In a stream the next message is there, or comes within a few looks, and after the pause there are several. In a
/// conversation it takes longer, as the peer has to answer first; and if it should not, there is still only
/// one message after the pause: then the next chances are let go by, so that the answers are not kept waiting.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    /// How many looks in a row have found nothing.
    in_vain: u32,
    /// How many chances are still to be let go by.
    let_go: u32,
}

impl Patience {
    /// Within so many looks the next message of a stream comes.
    const SOON: u32 = 8;
    /// How many chances are let go by after a pause that did not pay.
    const PENALTY: u32 = 200;

    /// A look has found nothing.
    pub(crate) fn looked_in_vain(&mut self) {
        self.in_vain = self.in_vain.saturating_add(1);
    }

    /// There is something: whether it pays to [`pause`] before taking it.
    pub(crate) fn advises_pause(&mut self) -> bool {
        let soon = std::mem::take(&mut self.in_vain) <= Self::SOON;
        let advised = soon && self.let_go == 0;
        self.let_go = self.let_go.saturating_sub(soon.into());
        advised
    }

    /// After the pause there was no more than one message.
    pub(crate) fn paused_in_vain(&mut self) {
        self.let_go = Self::PENALTY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_advised_only_where_the_next_message_comes_soon() {
        let mut patience = Patience::default();
        for (looks, advised) in
            [(0, true), (1, true), (Patience::SOON, true), (Patience::SOON + 1, false)]
        {
            (0..looks).for_each(|_| patience.looked_in_vain());
            assert_eq!(patience.advises_pause(), advised, "after {looks} looks");
        }
    }

    #[test]
    fn a_pause_that_did_not_pay_is_not_repeated_for_a_while() {
        let mut patience = Patience::default();
        let mut chance = || {
            patience.looked_in_vain();
            let advised = patience.advises_pause();
            if advised {
                patience.paused_in_vain();
            }
            advised
        };
        assert!(chance());
        assert_eq!((0..Patience::PENALTY).filter(|_| chance()).count(), 0);
        assert!(chance());
    }
}
