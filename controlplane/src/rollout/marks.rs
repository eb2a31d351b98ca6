//! What the data plane remembers of objects at providers is kept in the store: a data plane that has come is given it, and
//! what it notes is taken over as it says so. No request waits for any of it.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tollgate_config::{
    link::{AnswerBody, AskBody},
    marks::{MARKS_AT_ONCE, Mark},
};

use super::Refusal;
use crate::{
    link::{ANSWER_TIMEOUT, Link, LinkError},
    plane::Plane,
};

/// After the data plane could not be given what is kept: first, and at most.
const GIVE_AGAIN: Duration = Duration::from_millis(250);
const GIVE_AGAIN_AT_MOST: Duration = Duration::from_secs(10);
/// After the store could not keep what was taken (a full disk): the data plane has it until then.
const KEEP_AGAIN: Duration = Duration::from_secs(5);

/// Gives the data plane of `link` all that is kept, and takes over what it notes for as long as the link lasts.
pub async fn give(plane: &Arc<Plane>, link: &Arc<Link>) -> Result<(), Refusal> {
    // What was taken of the data plane before this one is in the store before it is read.
    let _keeping = plane.keeping.lock().await;
    let mut after = 0;
    loop {
        let kept = plane.store.marks(after, MARKS_AT_ONCE).await?;
        let last = kept.len() < MARKS_AT_ONCE;
        after = kept.last().map_or(after, |(number, _)| *number);
        let marks: Vec<Mark> = kept.into_iter().map(|(_, mark)| mark).collect();
        let given = link.ask(AskBody::Marks { marks, last }, ANSWER_TIMEOUT).await;
        if let Err(LinkError::Unknown { .. }) = given {
            // It remembers nothing of objects, and serves all else.
            return Ok(());
        }
        match given? {
            AnswerBody::Done if last => break,
            AnswerBody::Done => {}
            _ => return Err(LinkError::Unexpected.into()),
        }
    }
    tokio::spawn(keep(plane.clone(), Arc::downgrade(link), link.marks_noted()));
    Ok(())
}

/// The same, again and again until it has come to it, or until there is another link: that begins anew.
pub async fn give_later(plane: Arc<Plane>, link: Weak<Link>) {
    let mut wait = GIVE_AGAIN;
    loop {
        tokio::time::sleep(wait).await;
        wait = (2 * wait).min(GIVE_AGAIN_AT_MOST);
        let Some(link) = link.upgrade() else { return };
        match give(&plane, &link).await {
            Ok(()) => {
                let text = "the data plane was told whose objects at providers are: it answers lists";
                return plane.events.tell("marks_given", text.to_owned());
            }
            Err(Refusal::Link(LinkError::Down | LinkError::Cut | LinkError::Io(_))) => return,
            Err(error) => tracing::warn!(%error, "marks could not be given to the data plane; tried again"),
        }
    }
}

async fn keep(plane: Arc<Plane>, link: Weak<Link>, marks_noted: Arc<tokio::sync::Notify>) {
    let mut kept = 0;
    loop {
        marks_noted.notified().await;
        while let Some(link) = link.upgrade() {
            match take(&plane, &link, &mut kept).await {
                Ok(Taken::All) => break,
                Ok(Taken::Some) => {}
                // The next link begins with all that is kept.
                Err(Refusal::Link(error)) => {
                    return tracing::debug!(%error, "marks are no longer taken over this link");
                }
                Err(error) => {
                    tracing::warn!(%error, "what the data plane remembers of objects could not be kept; tried again");
                    drop(link);
                    tokio::time::sleep(KEEP_AGAIN).await;
                }
            }
        }
        if link.strong_count() == 0 {
            return;
        }
    }
}

enum Taken {
    Some,
    All,
}

/// Takes one report, and keeps it.
async fn take(plane: &Plane, link: &Link, kept: &mut u64) -> Result<Taken, Refusal> {
    let _keeping = plane.keeping.lock().await;
    match link.ask(AskBody::TakeMarks { kept: *kept }, ANSWER_TIMEOUT).await? {
        AnswerBody::Marks { made, gone, .. } if made.is_empty() && gone.is_empty() => Ok(Taken::All),
        AnswerBody::Marks { report, made, gone } => {
            plane.store.keep_marks(made, gone).await?;
            *kept = report;
            Ok(Taken::Some)
        }
        _ => Err(LinkError::Unexpected.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plane::Actor,
        rollout::{self, Edit, Terms},
        testing::{self, Fake},
    };

    fn mark(n: u128) -> Mark {
        Mark { id: n, tag: n as u16 }
    }

    async fn kept(plane: &Plane) -> Vec<Mark> {
        let kept = plane.store.marks(0, 1000).await.unwrap();
        kept.into_iter().map(|(_, mark)| mark).collect()
    }

    async fn until_kept(plane: &Plane, marks: &[Mark]) {
        let all = async {
            while kept(plane).await != marks {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), all).await.expect("kept");
    }

    #[tokio::test]
    async fn what_could_not_be_given_is_given_later() {
        let folder = tempfile::tempdir().unwrap();
        let fake = Fake::default();
        fake.start(folder.path());
        let plane = testing::plane(folder.path());
        let marks: Vec<Mark> = (1..4).map(mark).collect();
        plane.store.keep_marks(marks.clone(), vec![]).await.unwrap();
        fake.mishap(testing::Mishap::FailMarks);
        let link = testing::connect(&plane).await;
        let edit = Edit::Whole(tollgate_config::parse::Parsed::from_tree(testing::document(1)));
        rollout::change(&plane, edit, Actor::named("ann"), Terms::default())
            .await
            .unwrap();
        {
            let world = fake.world.lock().unwrap();
            assert!(!world.has_all_marks && world.listeners.len() == 1, "all else is served");
        }
        // Nothing else happens to the configuration.
        fake.mishap(testing::Mishap::None);
        let given = async {
            while !fake.world.lock().unwrap().has_all_marks {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), given)
            .await
            .expect("given");
        assert_eq!(fake.world.lock().unwrap().marks, marks);
        // From then on it is heard.
        fake.world.lock().unwrap().noted.push_back((vec![mark(9)], vec![]));
        link.marks_noted().notify_one();
        until_kept(&plane, &[mark(1), mark(2), mark(3), mark(9)]).await;
    }

    #[tokio::test]
    async fn a_data_plane_is_given_all_before_it_serves_and_what_it_notes_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let fake = Fake::default();
        fake.start(folder.path());
        let plane = testing::plane(folder.path());
        plane
            .store
            .keep_marks((1..4).map(mark).collect(), vec![])
            .await
            .unwrap();
        let link = testing::connect(&plane).await;
        let edit = Edit::Whole(tollgate_config::parse::Parsed::from_tree(testing::document(1)));
        rollout::change(&plane, edit, Actor::named("ann"), Terms::default())
            .await
            .unwrap();
        {
            let mut world = fake.world.lock().unwrap();
            assert!(world.has_all_marks && world.listeners.len() == 1);
            assert_eq!(world.marks, [mark(1), mark(2), mark(3)]);
            world.noted.push_back((vec![mark(9)], vec![mark(2)]));
            world.noted.push_back((vec![mark(10)], vec![mark(9)]));
        }
        link.marks_noted().notify_one();
        until_kept(&plane, &[mark(1), mark(3), mark(10)]).await;
        // And what is noted later.
        fake.world.lock().unwrap().noted.push_back((vec![mark(11)], vec![]));
        link.marks_noted().notify_one();
        until_kept(&plane, &[mark(1), mark(3), mark(10), mark(11)]).await;
        // Another that comes is given all of that.
        fake.world.lock().unwrap().marks.clear();
        let link = testing::connect(&plane).await;
        rollout::sync(&plane, &link).await.unwrap();
        assert_eq!(fake.world.lock().unwrap().marks, [mark(1), mark(3), mark(10), mark(11)]);
    }
}
