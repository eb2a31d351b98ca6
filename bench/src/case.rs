//! One thing that is measured: what is prepared once, and what is run again and again.

/// What a figure is divided by.
#[derive(Clone, Copy, Debug)]
pub struct Unit {
    pub name: &'static str,
    /// Of them, done in one run.
    pub units: usize,
    /// Of input, read in one run; zero where bytes say nothing.
    pub bytes: usize,
}

impl Unit {
    pub const fn one(name: &'static str, bytes: usize) -> Self {
        Self::many(name, 1, bytes)
    }

    pub const fn many(name: &'static str, units: usize, bytes: usize) -> Self {
        Self { name, units, bytes }
    }
}

#[derive(Clone)]
pub struct Case {
    pub group: &'static str,
    pub name: &'static str,
    pub per: Unit,
    /// Runs counted under callgrind: quick, and enough that what happens only now and then has its share.
    pub counted_runs: u32,
    /// Makes the inputs and the state; what it returns is what is measured.
    pub prepare: fn() -> Box<dyn FnMut()>,
}
