//! What a `when` says beyond names and sizes: what a call asks for, and hours of the clock of some place. Given a moment, a
//! window says whether it holds; it fetches none.

use std::sync::Arc;

const DAY_S: i64 = 86_400;
const MINUTES_A_DAY: u16 = 24 * 60;
/// The first of January 1970, counted from Monday.
const THURSDAY: i64 = 3;

/// Something that a call may ask of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// The prompt has pictures.
    Vision,
    /// The prompt has sound.
    Audio,
    /// The prompt has files to read.
    Documents,
    /// The model may call tools.
    Tools,
    /// The answer must follow a JSON schema.
    JsonSchema,
    /// The model is to think first.
    Thinking,
    /// The answer is to come as a stream.
    Streaming,
}

impl Feature {
    pub const ALL: [Self; 7] = [
        Self::Vision,
        Self::Audio,
        Self::Documents,
        Self::Tools,
        Self::JsonSchema,
        Self::Thinking,
        Self::Streaming,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Vision => "vision",
            Self::Audio => "audio",
            Self::Documents => "documents",
            Self::Tools => "tools",
            Self::JsonSchema => "json_schema",
            Self::Thinking => "thinking",
            Self::Streaming => "streaming",
        }
    }
}

/// A set of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features(u8);

impl Features {
    pub const NONE: Self = Self(0);

    pub fn insert(&mut self, feature: Feature) {
        self.0 |= 1 << feature as u8;
    }

    pub const fn contains(self, feature: Feature) -> bool {
        self.0 >> feature as u8 & 1 == 1
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub const fn has_all(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    pub const fn has_any(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}

impl FromIterator<Feature> for Features {
    fn from_iter<T: IntoIterator<Item = Feature>>(features: T) -> Self {
        let mut set = Self::NONE;
        for feature in features {
            set.insert(feature);
        }
        set
    }
}

/// Days of the week, Monday the lowest bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days(pub u8);

impl Days {
    pub const ALL: Self = Self(0b111_1111);
    pub const NAMES: [&'static str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

    /// Counted from the first of January 1970.
    fn has(self, day: i64) -> bool {
        self.0 >> (day + THURSDAY).rem_euclid(7) & 1 == 1
    }
}

/// Hours of some days, by the clock on the wall of a zone. One that ends before it begins goes on over midnight, and
/// belongs to the day it began on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours {
    pub days: Days,
    /// Of the day; `to` is not in it any more.
    pub from_minute: u16,
    pub to_minute: u16,
    pub zone: Zone,
}

impl Hours {
    /// Of a whole day, whatever its length.
    pub const WHOLE_DAY: (u16, u16) = (0, MINUTES_A_DAY);

    pub fn holds(&self, unix_s: u64) -> bool {
        let local_s = i64::try_from(unix_s).unwrap_or(i64::MAX / 2) + i64::from(self.zone.offset_s(unix_s));
        let day = local_s.div_euclid(DAY_S);
        let minute = local_s.rem_euclid(DAY_S) / 60;
        let (from, to) = (i64::from(self.from_minute), i64::from(self.to_minute));
        if from < to {
            return self.days.has(day) && (from..to).contains(&minute);
        }
        self.days.has(day) && minute >= from || self.days.has(day - 1) && minute < to
    }
}

/// What the clocks of a place show: from when on they are how far ahead of UTC. Data, so that whoever judges by it needs no
/// table of the world's zones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// As the IANA's database has it.
    pub name: String,
    /// Unix seconds and offset in seconds, in order; before the first of them clocks were as it says.
    pub changes: Arc<[(i64, i32)]>,
}

impl Zone {
    pub fn utc() -> Self {
        Self {
            name: "UTC".to_owned(),
            changes: Arc::new([]),
        }
    }

    fn offset_s(&self, unix_s: u64) -> i32 {
        let unix_s = i64::try_from(unix_s).unwrap_or(i64::MAX);
        let begun = self.changes.partition_point(|(from, _)| *from <= unix_s);
        let change = self.changes.get(begun.saturating_sub(1));
        change.map_or(0, |(_, offset_s)| *offset_s)
    }
}
