//! `tollgate get` and `tollgate set`: the running configuration by JSON pointer.

use clap::Args;
use hyper::Method;
use serde_json::Value;
use tollgate_config::parse;

use super::{ChangeFlags, CliError, Output, apply, print};
use crate::client::{Call, Client, pointer_path};

#[derive(Args)]
pub struct GetArguments {
    /// A JSON pointer such as /models/smart/retry; without it the whole document
    #[arg(default_value = "")]
    pointer: String,
}

#[derive(Args)]
pub struct SetArguments {
    /// A JSON pointer such as /models/smart/retry/attempts; ~1 stands for a slash in a name
    pointer: String,
    /// JSON or YAML; a word is text
    #[arg(allow_hyphen_values = true)]
    value: String,
    #[command(flatten)]
    flags: ChangeFlags,
}

pub async fn get(client: &Client, arguments: &GetArguments, output: Output) -> Result<(), CliError> {
    let value: Value = client.json(Call::get(path(&arguments.pointer)?)).await?;
    match (&value, output) {
        (_, Output::Json) => print(&value.to_string()),
        (Value::String(text), Output::Text) => print(text),
        (_, Output::Text) => print(&serde_json::to_string_pretty(&value).unwrap_or_default()),
    }
    Ok(())
}

pub async fn set(client: &Client, arguments: SetArguments, output: Output) -> Result<(), CliError> {
    let value = read_value(&arguments.value);
    let call = apply::change_call(Method::PUT, &path(&arguments.pointer)?, arguments.flags).json(&value);
    let outcome: Value = client.json(call).await?;
    apply::print_outcome(&outcome, output);
    Ok(())
}

fn path(pointer: &str) -> Result<String, CliError> {
    if pointer.is_empty() || pointer == "/" {
        return Ok("/v1/config".into());
    }
    if !pointer.starts_with('/') {
        return Err(CliError::bad_input(format!(
            "{pointer}: a JSON pointer begins with /, such as /models/smart"
        )));
    }
    Ok(format!("/v1/config{}", pointer_path(pointer)))
}

/// JSON if it is JSON, else YAML, else the text itself.
fn read_value(text: &str) -> Value {
    if let Ok(value) = serde_json::from_str(text) {
        return value;
    }
    parse::parse(text).map_or_else(|_| Value::from(text), |parsed| parsed.tree)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::read_value;

    #[test]
    fn values_are_json_or_yaml_or_text() {
        for (text, value) in [
            ("3", json!(3)),
            ("\"3\"", json!("3")),
            ("true", json!(true)),
            ("env:OPENAI_API_KEY", json!("env:OPENAI_API_KEY")),
            ("127.0.0.1:8080", json!("127.0.0.1:8080")),
            ("{attempts: 2}", json!({"attempts": 2})),
            ("[a, b]", json!(["a", "b"])),
        ] {
            assert_eq!(read_value(text), value, "{text}");
        }
    }
}
