//! Several commands of one slot in one go, to whichever server has it.

#![allow(clippy::disallowed_methods)] // Runs on threads of its own.

use std::time::Instant;

use super::{
    connection::Address,
    resp::Value,
    store::{MAX_REDIRECTIONS, Refused, Store, redirection, told},
};

/// All keys are of one slot.
const SLOT: usize = 0;

impl Store {
    /// A reply for each, in order. Not answered is not the same as not done, and what a connection took that was closed
    /// meanwhile is said again on another: these are commands that may be done twice.
    pub fn commands(&mut self, commands: &[Vec<&[u8]>], until: Instant) -> Result<Vec<Value>, String> {
        let was_connected = self.is_connected(SLOT);
        let result = self.commands_once(commands, until);
        if result.is_err() && was_connected && Instant::now() < until {
            return self.commands_once(commands, until);
        }
        result
    }

    fn commands_once(&mut self, commands: &[Vec<&[u8]>], until: Instant) -> Result<Vec<Value>, String> {
        let owner = self.owner(SLOT, until);
        let result = owner.and_then(|owner| self.commands_at(owner, commands, until));
        let is_elsewhere = |value: &Value| matches!(value, Value::Error(said) if is_of_another(said));
        if result.as_ref().is_ok_and(|values| values.iter().any(is_elsewhere)) || result.is_err() {
            // Somebody else may know better.
            self.leave(SLOT);
        }
        result
    }

    fn commands_at(
        &mut self,
        mut server: Address,
        commands: &[Vec<&[u8]>],
        until: Instant,
    ) -> Result<Vec<Value>, String> {
        const ASKING: &[&[u8]] = &[b"ASKING"];
        let mut asking = false;
        for _ in 0..=MAX_REDIRECTIONS {
            let each = commands.iter().flat_map(|command| {
                let before = asking.then_some(ASKING);
                before.into_iter().chain([command.as_slice()])
            });
            let each: Vec<&[&[u8]]> = each.collect();
            let mut values = self.ask_all(&server, &each, until)?;
            if std::mem::take(&mut asking) {
                let mut at = 0;
                // Every other is of `ASKING`.
                values.retain(|_| {
                    at += 1;
                    at % 2 == 0
                });
            }
            match values.iter().find_map(|value| redirection(value, &server)) {
                None => return Ok(values),
                Some(Refused::Moved(owner)) => {
                    self.moved(SLOT, owner.clone());
                    server = owner;
                }
                Some(Refused::Ask(other)) => {
                    server = other;
                    asking = true;
                }
                Some(Refused::NoScript | Refused::Other(_)) => return Ok(values),
            }
        }
        Err(told(&server, "it sends us from one server to the next"))
    }
}

/// A server that is none for writers now: a replica, one that begins, one that has lost its cluster.
fn is_of_another(said: &str) -> bool {
    const STATES: [&str; 4] = ["READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN"];
    STATES.iter().any(|state| said.starts_with(state))
}
