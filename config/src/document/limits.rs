//! Limits as an operator says them: what is counted, how much of it, and when it begins anew.

/// Of one scope. Two limits of a scope differ in unit or window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub unit: Unit,
    /// In `unit`; of a refilled bucket, what comes back in its period.
    pub amount: u64,
    pub window: Window,
    pub mode: LimitMode,
    /// What is reserved is a proven upper bound: the limit is never exceeded by what a call asks of its model.
    pub hard: bool,
    /// A stream ends where what is left ends.
    pub cut: bool,
    /// Shares of it that are told once in each period when they are used.
    pub thresholds: Thresholds,
}

impl Limit {
    /// One that refuses, by what calls are expected to use.
    pub fn new(unit: Unit, amount: u64, window: Window) -> Self {
        Self {
            unit,
            amount,
            window,
            mode: LimitMode::Enforce,
            hard: false,
            cut: false,
            thresholds: Thresholds::usual(window),
        }
    }

    /// Does it refuse what may exceed it?
    pub fn is_hard(&self) -> bool {
        self.hard && self.mode == LimitMode::Enforce
    }

    /// Does it end streams?
    pub fn cuts(&self) -> bool {
        self.cut && self.mode == LimitMode::Enforce
    }
}

/// Percentages of a limit, rising; at most `MAX_THRESHOLDS`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Thresholds([u8; MAX_THRESHOLDS]);

pub const MAX_THRESHOLDS: usize = 4;

impl Thresholds {
    /// Unless said: of calendar periods. A bucket is half empty all the time.
    pub const fn usual(window: Window) -> Self {
        match window {
            Window::Calendar(_) => Self([50, 80, 95, 0]),
            Window::Refill { .. } | Window::None => Self([0; MAX_THRESHOLDS]),
        }
    }

    /// `None`: too many, not rising, or none of 1 to 100.
    pub fn new(percents: &[u8]) -> Option<Self> {
        let rising = percents.windows(2).all(|pair| pair[0] < pair[1]);
        let within = percents.iter().all(|percent| (1..=100).contains(percent));
        let mut all = [0; MAX_THRESHOLDS];
        all.get_mut(..percents.len())?.copy_from_slice(percents);
        (rising && within).then_some(Self(all))
    }

    pub fn is_empty(&self) -> bool {
        self.0[0] == 0
    }

    /// Rising.
    pub fn percents(&self) -> impl Iterator<Item = u8> {
        self.0.into_iter().take_while(|percent| *percent > 0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    Requests,
    /// Input and output together.
    Tokens,
    InputTokens,
    OutputTokens,
    /// Calls under way.
    Concurrent,
    /// Nano-dollars.
    Budget,
}

impl Unit {
    pub const ALL: [Self; 6] = [
        Self::Requests,
        Self::Tokens,
        Self::InputTokens,
        Self::OutputTokens,
        Self::Concurrent,
        Self::Budget,
    ];

    /// As the document has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::Concurrent => "concurrent",
            Self::Budget => "budget",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Window {
    /// `concurrent` has none: what ends comes back.
    None,
    /// A bucket of `burst` into which `amount` flows back per `per_ms`.
    Refill { per_ms: u64, burst: u64 },
    /// `amount` per calendar period of the document's time zone.
    Calendar(Period),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    Day,
    /// From Monday (ISO 8601).
    Week,
    Month,
    Quarter,
    Year,
}

impl Period {
    pub const ALL: [Self; 5] = [Self::Day, Self::Week, Self::Month, Self::Quarter, Self::Year];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LimitMode {
    #[default]
    Enforce,
    /// Counted and reported, never refused.
    Shadow,
}
