//! Where the link in force is found: empty while there is no data plane.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{Link, LinkError};

#[derive(Clone)]
pub struct LinkSlot {
    sender: Arc<watch::Sender<Option<Arc<Link>>>>,
}

impl LinkSlot {
    pub fn empty() -> LinkSlot {
        LinkSlot {
            sender: Arc::new(watch::channel(None).0),
        }
    }

    pub fn put(&self, link: Arc<Link>) {
        self.sender.send_replace(Some(link));
    }

    pub fn clear(&self) {
        self.sender.send_replace(None);
    }

    /// The link now, if there is a living one.
    pub fn now(&self) -> Result<Arc<Link>, LinkError> {
        self.sender
            .borrow()
            .clone()
            .filter(|link| !link.is_closed())
            .ok_or(LinkError::Down)
    }

    /// A living link, awaited for at most `patience` (a data plane may be restarting).
    pub async fn within(&self, patience: Duration) -> Result<Arc<Link>, LinkError> {
        let mut receiver = self.sender.subscribe();
        let living = receiver.wait_for(|slot| slot.as_ref().is_some_and(|link| !link.is_closed()));
        match tokio::time::timeout(patience, living).await {
            Ok(Ok(slot)) => slot.clone().ok_or(LinkError::Down),
            _ => Err(LinkError::Down),
        }
    }
}
