//! What must never happen, asserted of every list of actions: this is the shell's side of the seam, kept pedantically.

use std::ops::Range;

use tollgate_engine::{
    Action, Outputs, Piece,
    outputs::{AttemptId, ReplyFraming},
};

/// What a client has received of one answer.
#[derive(Default)]
pub(crate) struct Received {
    pub status: Option<u16>,
    pub framing: Option<ReplyFraming>,
    pub body: Vec<u8>,
    pub settled: bool,
    /// How it ended: `End` or `Cut`.
    pub last: Option<Action>,
}

/// The attempt the exchange has under way, as the shell knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Upstream {
    pub id: AttemptId,
    pub connected: bool,
    pub sent: bool,
}

/// Applies one action. `bytes` resolves pieces.
pub(crate) fn apply(
    action: &Action,
    received: &mut Received,
    upstream: &mut Option<Upstream>,
    bytes: impl Fn(&Range<u32>) -> Vec<u8>,
) {
    assert!(received.last.is_none(), "{action:?} after the end");
    if received.settled {
        assert!(matches!(action, Action::End | Action::Cut), "{action:?} after Settle");
    }
    match action {
        Action::ReadBody { .. } | Action::ReadPart { .. } => {
            assert!(received.status.is_none() && upstream.is_none(), "a body is read first");
        }
        Action::Dial { attempt, .. } => {
            assert!(upstream.is_none(), "two attempts at once");
            assert!(received.status.is_none(), "an attempt after the answer began");
            *upstream = Some(Upstream {
                id: *attempt,
                connected: false,
                sent: false,
            });
        }
        Action::SendUp { attempt, .. } => {
            let live = upstream
                .as_mut()
                .filter(|up| up.id == *attempt)
                .expect("sent to no attempt");
            assert!(
                live.connected && !live.sent,
                "sent before the connection stood, or twice"
            );
            live.sent = true;
        }
        Action::PassUp { attempt, .. } | Action::EndUp { attempt } => {
            let sent = upstream.as_ref().is_some_and(|up| up.id == *attempt && up.sent);
            assert!(sent, "more of a body before its beginning");
        }
        // No model of the simulation has a shadow.
        Action::Shadow { .. } => panic!("a copy of a call whose model has no shadow"),
        Action::Summarize | Action::Compare => panic!("what no model of the simulation wants"),
        // No provider of the simulation is shown a token.
        Action::RenewToken { .. } | Action::Turn { .. } => {}
        Action::Abandon { attempt } | Action::Leave { attempt } => {
            assert_eq!(
                upstream.take().map(|up| up.id),
                Some(*attempt),
                "gave up what is not there"
            );
        }
        Action::Head { status, framing, .. } => {
            assert!(received.status.replace(*status).is_none(), "two heads");
            assert!((200..600).contains(status));
            received.framing = Some(*framing);
        }
        Action::Body { pieces } => take_body(received, &bytes(pieces)),
        Action::Settle => {
            received.settled = true;
            assert!(upstream.is_none(), "settled with an attempt under way");
        }
        Action::End => {
            assert!(received.settled, "ended before it settled");
            let framing = received.framing.expect("ended without an answer");
            if let ReplyFraming::Length(length) = framing {
                assert_eq!(received.body.len() as u64, length, "less than announced");
            }
            received.last = Some(Action::End);
        }
        Action::Cut => {
            assert!(received.settled, "cut before it settled");
            received.last = Some(Action::Cut);
        }
    }
}

fn take_body(received: &mut Received, sent: &[u8]) {
    assert!(!sent.is_empty(), "an empty body piece");
    received.body.extend_from_slice(sent);
    match received.framing.expect("a body before its head") {
        ReplyFraming::Empty(_) => panic!("a body where none may be"),
        ReplyFraming::Length(length) => assert!(received.body.len() as u64 <= length, "more than announced"),
        ReplyFraming::Stream => {}
    }
}

/// The bytes that pieces stand for.
pub(crate) fn resolve(out: &Outputs, pieces: &Range<u32>, request_body: &[u8], input: &[u8]) -> Vec<u8> {
    let range = |range: &Range<u32>| range.start as usize..range.end as usize;
    let mut all = Vec::new();
    for piece in &out.pieces[range(pieces)] {
        all.extend_from_slice(match piece {
            Piece::Arena(at) => &out.arena[range(at)],
            Piece::RequestBody(at) => &request_body[range(at)],
            Piece::Input(at) => &input[range(at)],
        });
    }
    all
}
