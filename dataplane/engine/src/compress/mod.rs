//! Prompts that are sent shorter than they came.

/// By how much a prompt was made shorter, or would have been. Tokens are counted here, of the texts that were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shorter {
    pub bytes_before: u64,
    pub bytes_after: u64,
    pub tokens_before: u64,
    pub tokens_after: u64,
    /// It was sent like that.
    pub is_sent: bool,
}

impl Shorter {
    pub fn tokens_saved(&self) -> u64 {
        self.tokens_before.saturating_sub(self.tokens_after)
    }

    /// For metrics.
    pub fn mode(&self) -> &'static str {
        match self.is_sent {
            true => "on",
            false => "shadow",
        }
    }
}
