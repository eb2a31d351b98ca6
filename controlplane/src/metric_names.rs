//! The names of the control plane's own metrics, once. Each has a line in docs/src/operations.md.

pub const REVISION: &str = "tollgate_controlplane_revision";
pub const LINK_UP: &str = "tollgate_controlplane_link_up";
pub const UPTIME: &str = "tollgate_controlplane_uptime_seconds";
pub const DATAPLANE_RESTARTS: &str = "tollgate_dataplane_restarts_total";
pub const USAGE_RECORDS: &str = "tollgate_usage_records_total";
pub const LEDGER_UP: &str = "tollgate_ledger_up";
pub const KAFKA_UP: &str = "tollgate_kafka_up";
pub const KAFKA_LAG: &str = "tollgate_kafka_lag_seconds";
pub const KAFKA_RECORDS: &str = "tollgate_kafka_records_total";
pub const WEBHOOK_NOTICES: &str = "tollgate_webhook_notices_total";
pub const CHANGES: &str = "tollgate_config_changes_total";
