//! What a round gives, and what several rounds of one row come to.

use serde_json::{Value, json};

/// What one side has measured in one round.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Side {
    /// How many messages: there and back, each counts once.
    pub(crate) messages: u64,
    /// From the first to the last of them.
    pub(crate) seconds: f64,
    /// Processor time meanwhile, in seconds.
    pub(crate) cpu: f64,
    /// p50, p99 and p99.9 of the time there and back, in seconds; zeros for all else.
    pub(crate) quantiles: [f64; 3],
}

impl Side {
    pub(crate) fn to_json(self) -> Value {
        json!([self.messages, self.seconds, self.cpu, self.quantiles])
    }

    pub(crate) fn from_json(value: &Value) -> Option<Side> {
        let quantile = |index: usize| value.get(3)?.get(index)?.as_f64();
        Some(Side {
            messages: value.get(0)?.as_u64()?,
            seconds: value.get(1)?.as_f64()?,
            cpu: value.get(2)?.as_f64()?,
            quantiles: [quantile(0)?, quantile(1)?, quantile(2)?],
        })
    }
}

/// One round: the side that begins, and the side that answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    pub(crate) near: Side,
    pub(crate) far: Side,
}

/// The medians over the rounds, each figure by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Medians {
    /// Seconds a message: there and back, the median of the rounds' p50; else the receiver's time by its
    /// messages.
    pub(crate) time: f64,
    /// p50, p99, p99.9 in seconds; zeros where it is not there and back.
    pub(crate) quantiles: [f64; 3],
    /// Messages a second, the receiver's count.
    pub(crate) rate: f64,
    /// How much of one processor the side that begins has used, and the side that answers: 0 to 1 for one
    /// thread.
    pub(crate) cpu: [f64; 2],
    /// The fastest and the slowest round's `time`.
    pub(crate) range: [f64; 2],
}

impl Medians {
    /// `None` if there are no rounds.
    pub(crate) fn of(rounds: &[Round]) -> Option<Medians> {
        let over = |figure: &dyn Fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
        let time = |round: &Round| match round.near.quantiles[0] {
            0.0 => round.far.seconds / (round.far.messages.max(1)) as f64,
            p50 => p50,
        };
        let times = || rounds.iter().map(time);
        Some(Medians {
            time: over(&time)?,
            quantiles: [
                over(&|round| round.near.quantiles[0])?,
                over(&|round| round.near.quantiles[1])?,
                over(&|round| round.near.quantiles[2])?,
            ],
            rate: over(&|round| round.far.messages as f64 / round.far.seconds)?,
            cpu: [
                over(&|round| round.near.cpu / round.near.seconds)?,
                over(&|round| round.far.cpu / round.far.seconds)?,
            ],
            range: [times().fold(f64::INFINITY, f64::min), times().fold(0.0, f64::max)],
        })
    }
}

impl Medians {
    pub(crate) fn to_json(self, size: usize) -> Value {
        json!({
            "seconds_a_message": self.time,
            "p50_p99_p999": self.quantiles,
            "messages_a_second": self.rate,
            "bytes_a_second": self.rate * size as f64,
            "processors_used": self.cpu,
            "fastest_and_slowest_round": self.range,
        })
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(seconds: f64, p50: f64) -> Round {
        let side = Side { messages: 10, seconds, cpu: seconds / 2.0, quantiles: [p50, p50, p50] };
        Round { near: side, far: side }
    }

    #[test]
    fn the_time_is_the_median_of_the_rounds() {
        let rounds = [round(5.0, 0.0), round(1.0, 0.0), round(2.0, 0.0)];
        let medians = Medians::of(&rounds).expect("three rounds");
        assert_eq!((medians.time, medians.rate, medians.cpu), (0.2, 5.0, [0.5, 0.5]));
        assert_eq!(medians.range, [0.1, 0.5]);
        assert!(Medians::of(&[]).is_none());
    }

    #[test]
    fn there_and_back_it_is_the_median_of_the_medians() {
        let rounds = [round(1.0, 3e-6), round(1.0, 9e-6), round(1.0, 4e-6)];
        assert_eq!(Medians::of(&rounds).expect("three rounds").time, 4e-6);
    }

    #[test]
    fn a_side_is_told_and_understood() {
        let side = Side { messages: 7, seconds: 0.25, cpu: 0.125, quantiles: [1.0, 2.0, 3.0] };
        let heard = Side::from_json(&side.to_json()).expect("what was just written");
        assert_eq!((heard.messages, heard.seconds, heard.quantiles), (7, 0.25, [1.0, 2.0, 3.0]));
        assert!(Side::from_json(&json!("hangs")).is_none());
    }
}
