//! `tollgate usage rerate`: a period at other prices.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};
use tollgate_config::parse;

use crate::{
    cli::{CliError, Output, check, print},
    client::{Call, Client},
};

#[derive(Args)]
pub struct RerateArguments {
    /// Calls that ended at this time or later; whole hours are priced anew
    #[arg(long, value_name = "T")]
    from: String,
    /// Calls that ended before this time [default: now]
    #[arg(long, value_name = "T")]
    to: Option<String>,
    /// A configuration file with the right prices, or the number of a revision [default: the configuration in force]
    #[arg(long, value_name = "FILE|REVISION")]
    prices: Option<String>,
    /// What days and months are of [default: the document's]
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// Write the difference to the ledger, as records of their own
    #[arg(long)]
    post: bool,
}

pub async fn run(client: &Client, arguments: &RerateArguments, output: Output) -> Result<(), CliError> {
    let mut asked = json!({"from": arguments.from, "post": arguments.post});
    for (name, value) in [("to", &arguments.to), ("timezone", &arguments.timezone)] {
        if let Some(value) = value {
            asked[name] = json!(value);
        }
    }
    if let Some(prices) = &arguments.prices {
        match prices.parse::<u64>() {
            Ok(revision) => asked["revision"] = json!(revision),
            Err(_) => {
                let text = check::read(Path::new(prices))?;
                let parsed = parse::parse(&text).map_err(|faults| CliError::faults(prices, &faults))?;
                asked["document"] = parsed.tree;
            }
        }
    }
    let answer: Value = client.json(Call::post("/v1/usage/rerate").json(&asked)).await?;
    match output {
        Output::Json => print(&answer.to_string()),
        Output::Text => {
            let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
            let number = |name: &str| answer[name].as_u64().unwrap_or(0);
            print(&format!(
                "{} to {}: {} USD instead of {} USD; {} calls and attempts priced, {} without a price left as they are",
                text("from"),
                text("to"),
                text("cost_after_usd"),
                text("cost_before_usd"),
                number("priced"),
                number("unpriced"),
            ));
            let corrected_before = text("corrected_before_usd");
            if corrected_before.contains(|digit: char| ('1'..='9').contains(&digit)) {
                print(&format!(
                    "{corrected_before} USD of the difference were in corrections by the provider's bill already, which lose as much"
                ));
            }
            print(&match (number("adjustments"), arguments.post) {
                (0, _) => "nothing is to be adjusted".to_owned(),
                (_, true) => format!("{} adjustments posted", number("posted")),
                (many, false) => format!("{many} adjustments; --post writes them to the ledger"),
            });
        }
    }
    Ok(())
}
