//! The model where Gemini's embeddings name it once more, in their body: what does not agree with the path is refused.

use tollgate_dialect::{embed::Shape, json::Node};
use tollgate_wire::json::edit;

use super::Edit;
use crate::{exchange::Exchange, outputs::Outputs, snapshot::Target, surface::Operation};

/// `models/NAME` of the provider for each that the client wrote; none where the two are the same.
pub(super) fn edits(exchange: &Exchange, target: &Target, body: &[u8], out: &mut Outputs) -> Vec<Option<Edit>> {
    let Operation::Embed(Shape::GeminiOne | Shape::GeminiMany) = exchange.facts.surface.operation else {
        return Vec::new();
    };
    let name = exchange.call.sent_model_name(&target.model);
    let Ok(document) = Node::document(body) else {
        return Vec::new();
    };
    if name == exchange.facts.model_asked {
        return Vec::new();
    }
    let start = out.arena.len();
    edit::write_string(&mut out.arena, &format!("models/{name}"));
    let text = out.written_since(start);
    let requests = document.get("requests").into_iter().flat_map(Node::elements);
    let named = requests.chain([document]).filter_map(|request| request.get("model"));
    let edit = |node: Node<'_>| {
        let begin = node.offset();
        Some(Edit {
            instead_of: begin..begin + node.raw().len(),
            text: text.clone(),
        })
    };
    named.map(edit).collect()
}
