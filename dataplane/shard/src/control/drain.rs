//! Ending in order: readiness first, then accepting, then what is in flight, then the process. Pure: time is given.

use std::time::{Duration, Instant};

/// Where the data plane is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// Serving.
    No,
    /// `/readyz` answers 503; everything is still served.
    NotReady {
        accept_until: Instant,
    },
    /// Nothing new is accepted.
    Finishing {
        end_at: Instant,
    },
    Over,
}

/// What is to be done about it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Nothing,
    StopAccepting,
    End,
}

impl Drain {
    /// Begins; false when it has begun already.
    pub fn begin(&mut self, now: Instant, drain_delay: Duration) -> bool {
        let begins = *self == Drain::No;
        if begins {
            *self = Drain::NotReady {
                accept_until: now + drain_delay,
            };
        }
        begins
    }

    /// Goes back to serving; false when that is too late.
    pub fn resume(&mut self) -> bool {
        let in_time = matches!(self, Drain::No | Drain::NotReady { .. });
        if in_time {
            *self = Drain::No;
        }
        in_time
    }

    /// Goes on when its time has come.
    pub fn turn(&mut self, now: Instant, shutdown_grace: Duration) -> Step {
        match *self {
            Drain::NotReady { accept_until } if accept_until <= now => {
                *self = Drain::Finishing {
                    end_at: now + shutdown_grace,
                };
                Step::StopAccepting
            }
            Drain::Finishing { end_at } if end_at <= now => {
                *self = Drain::Over;
                Step::End
            }
            _ => Step::Nothing,
        }
    }

    /// When `turn` has something to do.
    pub fn next(&self) -> Option<Instant> {
        match *self {
            Drain::NotReady { accept_until } => Some(accept_until),
            Drain::Finishing { end_at } => Some(end_at),
            Drain::No | Drain::Over => None,
        }
    }

    pub fn is_draining(&self) -> bool {
        *self != Drain::No
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_s_order() {
        let (now, delay, grace) = (Instant::now(), Duration::from_secs(5), Duration::from_secs(30));
        let mut drain = Drain::No;
        assert_eq!(drain.turn(now, grace), Step::Nothing);
        assert!(drain.begin(now, delay));
        assert!(!drain.begin(now, Duration::ZERO), "a second request changes nothing");
        assert_eq!(drain.turn(now + delay / 2, grace), Step::Nothing);
        assert!(drain.resume());
        assert!(!drain.is_draining());
        assert!(drain.begin(now, delay));
        assert_eq!(drain.next(), Some(now + delay));
        assert_eq!(drain.turn(now + delay, grace), Step::StopAccepting);
        assert!(!drain.resume(), "too late");
        assert_eq!(drain.turn(now + delay + grace / 2, grace), Step::Nothing);
        assert_eq!(drain.turn(now + delay + grace, grace), Step::End);
        assert_eq!(drain.next(), None);
    }
}
