//! Why an exchange could not be served: whose fault, what, and whether another try could help. One rendering per dialect.

/// Who is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit {
    Client,
    Upstream,
    Gateway,
}

/// Whether trying again could help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryWhere {
    Same,
    OtherTarget,
    No,
}
