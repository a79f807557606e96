# Names are fixed here, and ARNs made from them, so that a plan shows every policy in full before anything exists.
data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  prefix = "${var.name}-${var.environment}"
  # What stands between service and resource in an ARN.
  here = "${var.region}:${data.aws_caller_identity.current.account_id}"
  arn  = "arn:${data.aws_partition.current.partition}"

  stream = {
    name = "${local.prefix}-transactions"
    arn  = "${local.arn}:kinesis:${local.here}:stream/${local.prefix}-transactions"
  }
  tables = {
    for table in ["decisions", "profiles", "leases", "labels", "erasures"] : table => {
      name = "${local.prefix}-${table}"
      arn  = "${local.arn}:dynamodb:${local.here}:table/${local.prefix}-${table}"
    }
  }
  # Bucket names are shared by all AWS customers; the account id makes them ours.
  buckets = {
    for bucket in ["landing", "quarantine", "models", "reports"] : bucket => {
      name = "${local.prefix}-${bucket}-${data.aws_caller_identity.current.account_id}"
      arn  = "${local.arn}:s3:::${local.prefix}-${bucket}-${data.aws_caller_identity.current.account_id}"
    }
  }
  alerts_topic = {
    name = "${local.prefix}-alerts"
    arn  = "${local.arn}:sns:${local.here}:${local.prefix}-alerts"
  }
  # Where a fraud team's case tool reads the alerts.
  alerts_queue = {
    name = "${local.prefix}-alerts"
    arn  = "${local.arn}:sqs:${local.here}:${local.prefix}-alerts"
  }
  alarms_topic = {
    name = "${local.prefix}-alarms"
    arn  = "${local.arn}:sns:${local.here}:${local.prefix}-alarms"
  }
  function_name = "${local.prefix}-realtime"

  # The application's settings, by the names it reads them under.
  settings = {
    FRAUDLINE_ENVIRONMENT         = var.environment
    FRAUDLINE_CONTRACT            = var.contract
    FRAUDLINE_STREAM              = local.stream.name
    FRAUDLINE_DECISIONS_TABLE     = local.tables["decisions"].name
    FRAUDLINE_DECISIONS_KEEP_DAYS = tostring(var.decisions_keep_days)
    FRAUDLINE_PROFILES_TABLE      = local.tables["profiles"].name
    FRAUDLINE_LEASES_TABLE        = local.tables["leases"].name
    FRAUDLINE_LABELS_TABLE        = local.tables["labels"].name
    FRAUDLINE_ERASURES_TABLE      = local.tables["erasures"].name
    FRAUDLINE_LANDING_BUCKET      = local.buckets["landing"].name
    FRAUDLINE_QUARANTINE_BUCKET   = local.buckets["quarantine"].name
    FRAUDLINE_MODELS_BUCKET       = local.buckets["models"].name
    FRAUDLINE_REPORTS_BUCKET      = local.buckets["reports"].name
    FRAUDLINE_ALERTS_TOPIC_ARN    = local.alerts_topic.arn
    FRAUDLINE_ALARMS_TOPIC_ARN    = local.alarms_topic.arn
  }
}
