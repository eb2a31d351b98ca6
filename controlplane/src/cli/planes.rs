//! The data plane alone.

use std::{ffi::OsString, os::unix::process::CommandExt, process::Command};

use clap::Args;

use super::CliError;
use crate::paths;

/// Everything behind the command's name, unread.
#[derive(Args)]
pub struct Rest {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<OsString>,
}

/// Becomes `tollgate-dataplane`; returns only when that cannot be.
pub fn exec_dataplane(rest: Rest) -> Result<(), CliError> {
    let name = "tollgate-dataplane";
    let missing = || CliError::failed(format!("{name} is neither beside this program nor in PATH"));
    let program = paths::program(name).ok_or_else(missing)?;
    let error = Command::new(&program).args(rest.rest).exec();
    Err(CliError::failed(format!("cannot run {}: {error}", program.display())))
}
