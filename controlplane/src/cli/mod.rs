//! The command line: what can be said, and how a command ends. A command is one file.

mod apply;
mod cache;
mod check;
mod document;
mod events;
mod explain;
mod history;
mod judge;
mod keys;
mod planes;
mod prices;
mod providers;
mod reconcile;
mod status;
mod top;
mod tune;
mod usage;

use std::{io::IsTerminal, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::{Value, json};
use tollgate_config::Problem;

use crate::{client::Client, paths, up};

#[derive(Parser)]
#[command(
    name = "tollgate",
    version,
    about = "An AI gateway: the control plane and its command line"
)]
pub struct Cli {
    /// How results are written
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// The control socket [default: $TOLLGATE_CONTROL_SOCKET, else the usual place]
    #[arg(long, global = true, value_name = "PATH")]
    control_socket: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Text,
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Start the gateway: control plane, data plane, and without --config a quick start with a sandbox provider
    Up(up::UpArguments),
    /// Find every fault in a configuration file
    Check(check::CheckArguments),
    /// What a configuration file would change
    Diff(apply::DiffArguments),
    /// Put a configuration file in force on every shard
    Apply(apply::ApplyArguments),
    /// The running configuration, or one value of it
    Get(document::GetArguments),
    /// Set one value of the running configuration
    Set(document::SetArguments),
    /// Who changed what, when and why
    History(history::HistoryArguments),
    /// Put an earlier revision in force again
    Rollback(history::RollbackArguments),
    /// Both planes and every shard, now
    Status,
    /// The gateway at work, on a live screen
    Top,
    /// What happens, a line per event
    Events(events::EventsArguments),
    /// Create, list, rotate and revoke keys
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// The provider catalogue
    Providers,
    /// What models cost
    #[command(subcommand)]
    Prices(prices::PricesCommand),
    /// The control plane alone, for a data plane that runs already
    Controlplane(up::ControlplaneArguments),
    /// The data plane alone (runs tollgate-dataplane)
    #[command(disable_help_flag = true)]
    Dataplane(planes::Rest),
    /// What would become of a call, stage by stage, with reasons and costs; nothing is sent
    Explain(explain::ExplainArguments),
    /// Who used what, and what it cost
    Usage(usage::UsageArguments),
    /// Answers that are kept
    #[command(subcommand)]
    Cache(cache::CacheCommand),
    /// What the complexity router would decide
    #[command(subcommand)]
    Route(judge::RouteCommand),
    /// A provider's own report of usage beside the ledger
    Reconcile(reconcile::ReconcileArguments),
    /// Weights of the complexity router from graded prompts of your own; nothing is applied
    Tune(tune::TuneArguments),
}

/// How a change is made: flags shared by the commands that make one.
#[derive(Args, Default)]
pub struct ChangeFlags {
    /// Say what would change; change nothing
    #[arg(long)]
    dry_run: bool,
    /// Refuse unless this revision is in force
    #[arg(long, value_name = "N")]
    if_revision: Option<u64>,
    /// Why, kept in the history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// How a command fails; the exit codes of the contract.
#[derive(Debug)]
pub enum CliError {
    /// 1
    Failed { text: String, problem: Value },
    /// 2
    BadInput { text: String, problem: Value },
    /// 3
    Unreachable(String),
}

impl CliError {
    pub fn failed(text: impl Into<String>) -> CliError {
        CliError::Failed {
            text: text.into(),
            problem: Value::Null,
        }
    }

    pub fn bad_input(text: impl Into<String>) -> CliError {
        CliError::BadInput {
            text: text.into(),
            problem: Value::Null,
        }
    }

    /// Faults of a file, a line each.
    pub fn faults(file: &str, problems: &[Problem]) -> CliError {
        let text = problems.iter().map(|p| p.line(file)).collect::<Vec<_>>().join("\n");
        CliError::BadInput {
            text,
            problem: json!({ "problems": problems }),
        }
    }

    /// A refusal of the API.
    pub fn refused(status: u16, problem: Value) -> CliError {
        let detail = problem["detail"].as_str().map(str::to_owned);
        let text = detail.unwrap_or_else(|| format!("the control plane answered with status {status}"));
        match status {
            // A pointer that leads nowhere was typed wrongly; a key or revision that is not there is no such mistake.
            404 if !problem["pointer"].is_string() => CliError::Failed { text, problem },
            400 | 404 | 422 => CliError::BadInput { text, problem },
            _ => CliError::Failed { text, problem },
        }
    }

    fn end(self, output: Output) -> ExitCode {
        let (code, text, problem) = match self {
            CliError::Failed { text, problem } => (1, text, problem),
            CliError::BadInput { text, problem } => (2, text, problem),
            CliError::Unreachable(text) => (3, text, Value::Null),
        };
        match output {
            Output::Json => print(&json!({"error": text, "problem": problem}).to_string()),
            Output::Text => eprintln!("{text}"),
        }
        ExitCode::from(code)
    }
}

/// Runs what was asked on the command line.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let output = cli.output;
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.end(output),
    }
}

fn dispatch(cli: Cli) -> Result<(), CliError> {
    let Cli {
        output,
        control_socket,
        command,
    } = cli;
    let socket = paths::control_socket(control_socket.as_deref());
    let client = Client::new(socket.clone());
    match command {
        Command::Up(arguments) => up::run(arguments, socket, output),
        Command::Controlplane(arguments) => up::run(arguments.into(), socket, output),
        Command::Dataplane(rest) => planes::exec_dataplane(rest),
        Command::Check(arguments) => check::run(&arguments, output),
        Command::Diff(arguments) => wait(apply::diff(&client, &arguments, output)),
        Command::Apply(arguments) => wait(apply::apply(&client, arguments, output)),
        Command::Get(arguments) => wait(document::get(&client, &arguments, output)),
        Command::Set(arguments) => wait(document::set(&client, arguments, output)),
        Command::History(arguments) => wait(history::history(&client, &arguments, output)),
        Command::Rollback(arguments) => wait(history::rollback(&client, arguments, output)),
        Command::Status => wait(status::run(&client, output)),
        Command::Top => wait(top::run(&client, output)),
        Command::Events(arguments) => wait(events::run(&client, &arguments, output)),
        Command::Keys(command) => wait(keys::run(&client, command, output)),
        Command::Providers => {
            providers::run(output);
            Ok(())
        }
        Command::Usage(arguments) => wait(usage::run(&client, &arguments, output)),
        Command::Explain(arguments) => wait(explain::run(&client, arguments, output)),
        Command::Cache(command) => wait(cache::run(&client, command, output)),
        Command::Route(command) => judge::route(command, output),
        Command::Prices(command) => prices::run(command, output),
        Command::Reconcile(arguments) => wait(reconcile::run(&client, &arguments, output)),
        Command::Tune(arguments) => tune::run(&arguments, output),
    }
}

/// Runs a client's command: one thread is enough.
fn wait(command: impl Future<Output = Result<(), CliError>>) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .map_err(|e| CliError::failed(format!("cannot start: {e}")))?
        .block_on(command)
}

/// A line on stdout. A reader that went away (`| head`) is no failure.
pub fn print(text: &str) {
    use std::io::Write;
    if writeln!(std::io::stdout(), "{text}").is_err() {
        std::process::exit(0);
    }
}

pub fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Columns aligned with spaces; the last one is left as it is.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|r| r.get(column))
            .map(|c| c.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let pad = if column + 1 == row.len() {
                0
            } else {
                widths[column] + 2 - cell.chars().count()
            };
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', pad));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn tables_align() {
        let rows = vec![vec!["a".into(), "bb".into()], vec!["ccc".into(), "d".into()]];
        assert_eq!(table(&rows), "a    bb\nccc  d");
    }
}
