//! System blocks and messages, as they were planned.

use super::plan::{Block, Placed, Plan};
use crate::{
    canonical::request::CacheMark,
    json::{Json, Out},
};

pub(super) fn write_system(plan: &Plan<'_, '_>, json: &mut Out<'_>) {
    if plan.system.is_empty() {
        return;
    }
    json.key("system").open_list();
    write_blocks(&plan.system, json);
    json.close_list();
}

pub(super) fn write_messages(plan: &Plan<'_, '_>, json: &mut Out<'_>) {
    json.key("messages").open_list();
    for message in &plan.messages {
        let role = if message.is_user { "user" } else { "assistant" };
        json.open().key("role").string(role).key("content").open_list();
        write_blocks(&message.blocks, json);
        json.close_list().close();
    }
    json.close_list();
}

fn write_blocks(blocks: &[Placed<'_, '_>], json: &mut Out<'_>) {
    for placed in blocks {
        write_block(&placed.block, json);
        if let Some(mark) = placed.cache {
            write_cache_point(mark, json);
        }
    }
}

pub(super) fn write_cache_point(mark: CacheMark, json: &mut Out<'_>) {
    json.open().key("cachePoint").open().key("type").string("default");
    if mark == CacheMark::OneHour {
        json.key("ttl").string("1h");
    }
    json.close().close();
}

fn write_block(block: &Block<'_, '_>, json: &mut Out<'_>) {
    match block {
        Block::Text(text) => {
            json.open().key("text").text(text).close();
        }
        Block::Ours(text) => {
            json.open().key("text").string(text).close();
        }
        Block::Media(media) => media.write(json),
        // Only a tool's result has JSON; elsewhere, and where it is no object, its text says the same.
        Block::Json(raw) => {
            json.open().key("text").quoted(&Json::Value(raw)).close();
        }
        Block::Call { id, name, input } => {
            json.open().key("toolUse").open();
            json.key("toolUseId").string(id).key("name").text(name);
            json.key("input").raw(input).close().close();
        }
        Block::Result { id, blocks, is_error } => write_result(id, blocks, *is_error, json),
        Block::Thinking { text, signature } => {
            json.open().key("reasoningContent").open().key("reasoningText").open();
            json.key("text").text(text);
            if let Some(signature) = signature {
                json.key("signature").text(signature);
            }
            json.close().close().close();
        }
        Block::Sealed(data) => {
            json.open().key("reasoningContent").open();
            json.key("redactedContent").text(data).close().close();
        }
    }
}

fn write_result(id: &str, blocks: &[Block<'_, '_>], is_error: bool, json: &mut Out<'_>) {
    json.open().key("toolResult").open().key("toolUseId").string(id);
    json.key("content").open_list();
    for block in blocks {
        match block {
            Block::Json(raw) if raw.first() == Some(&b'{') => {
                json.open().key("json").raw(raw).close();
            }
            block => write_block(block, json),
        }
    }
    json.close_list();
    if is_error {
        json.key("status").string("error");
    }
    json.close().close();
}
