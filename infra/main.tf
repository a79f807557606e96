locals {
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition

  repository_arn = "${local.arn}:ecr:${local.here}:repository/${local.prefix}"
  boundary_arn   = "${local.arn}:iam::${local.account_id}:policy/${var.name}-boundary"

  prefect_api_url = var.prefect_server ? "http://prefect.${local.prefix}.internal:4200/api" : var.prefect_api_url
  # Written by hand once (docs/deployment-guide.md), so that it is in no state file: `user:password` of our own server
  # or the key of Prefect Cloud.
  prefect_credential = {
    setting = var.prefect_server ? "PREFECT_API_AUTH_STRING" : "PREFECT_API_KEY"
    arn     = "${local.arn}:ssm:${local.here}:parameter/${var.name}/${var.environment}/prefect-credential"
  }
  # By hand, too: whoever has this key can tell which ids have been erased.
  erasure_key_arn = "${local.arn}:ssm:${local.here}:parameter/${var.name}/${var.environment}/erasure-key"
}

module "encryption" {
  source = "./modules/encryption"

  prefix = local.prefix
}

module "stream" {
  source = "./modules/stream"

  name           = local.stream.name
  mode           = var.stream_mode
  shards         = var.stream_shards
  retention_days = var.stream_retention_days
  kms_key_arn    = module.encryption.key_arn
}

module "tables" {
  source = "./modules/tables"

  names       = { for table, resource in local.tables : table => resource.name }
  protect     = var.protect_data
  kms_key_arn = module.encryption.key_arn
}

module "storage" {
  source = "./modules/storage"

  buckets         = local.buckets
  protect         = var.protect_data
  landing_days    = var.landing_days
  quarantine_days = var.quarantine_days
  kms_key_arn     = module.encryption.key_arn
}

module "alerts" {
  source = "./modules/alerts"

  topic        = local.alerts_topic
  queue        = local.alerts_queue
  alarms_topic = local.alarms_topic
  alarm_emails = var.alarm_emails
  kms_key_arn  = module.encryption.key_arn
}

module "realtime" {
  source = "./modules/realtime"

  function_name            = local.function_name
  region                   = var.region
  account_id               = local.account_id
  partition                = local.partition
  package                  = var.lambda_package
  runtime                  = var.lambda_runtime
  architecture             = var.lambda_architecture
  reserved_concurrency     = var.lambda_reserved_concurrency
  reads_stream             = var.lambda_reads_stream
  settings                 = local.settings
  stream_arn               = local.stream.arn
  event_source_arn         = module.stream.arn
  table_arns               = { for table in ["decisions", "profiles"] : table => local.tables[table].arn }
  models_bucket_arn        = local.buckets["models"].arn
  kms_key_arn              = module.encryption.key_arn
  permissions_boundary_arn = local.boundary_arn
}

module "network" {
  source = "./modules/network"

  prefix       = local.prefix
  region       = var.region
  cidr         = var.vpc_cidr
  zones        = var.zones
  nat_per_zone = var.nat_per_zone
}

module "orchestration" {
  source = "./modules/orchestration"

  prefix                   = local.prefix
  region                   = var.region
  account_id               = local.account_id
  partition                = local.partition
  image                    = var.image
  repository_arn           = local.repository_arn
  work_pool                = var.work_pool
  prefect_api_url          = local.prefect_api_url
  server_service           = one(module.prefect_server[*].service)
  prefect_credential       = local.prefect_credential
  erasure_key_arn          = local.erasure_key_arn
  settings                 = local.settings
  subnet_ids               = module.network.private_subnet_ids
  security_group_id        = module.network.tasks_security_group_id
  stream_arn               = local.stream.arn
  table_arns               = { for table, resource in local.tables : table => resource.arn }
  bucket_arns              = { for bucket, resource in local.buckets : bucket => resource.arn }
  alerts_topic_arn         = local.alerts_topic.arn
  kms_key_arn              = module.encryption.key_arn
  permissions_boundary_arn = local.boundary_arn
}

module "prefect_server" {
  source = "./modules/prefect_server"
  count  = var.prefect_server ? 1 : 0

  prefix                   = local.prefix
  region                   = var.region
  account_id               = local.account_id
  partition                = local.partition
  image                    = var.image
  repository_arn           = local.repository_arn
  cluster_arn              = module.orchestration.cluster_arn
  vpc_id                   = module.network.vpc_id
  subnet_ids               = module.network.private_subnet_ids
  tasks_security_group_id  = module.network.tasks_security_group_id
  auth_string_arn          = local.prefect_credential.arn
  alarms_topic_arn         = local.alarms_topic.arn
  protect                  = var.protect_data
  kms_key_arn              = module.encryption.key_arn
  permissions_boundary_arn = local.boundary_arn
}

module "observability" {
  source = "./modules/observability"

  prefix                = local.prefix
  environment           = var.environment
  region                = var.region
  contract              = var.contract
  stream_name           = local.stream.name
  table_names           = [for table in local.tables : table.name]
  leases_table          = local.tables["leases"].name
  function_name         = local.function_name
  function_alias        = module.realtime.alias
  failed_queue          = module.realtime.failed_queue
  undelivered_queue     = module.alerts.undelivered_queue
  quarantine_bucket     = local.buckets["quarantine"].name
  quarantine_filter     = module.storage.quarantine_metric_filter
  cluster_name          = module.orchestration.cluster_name
  worker_service        = module.orchestration.worker_service
  database              = one(module.prefect_server[*].database)
  alarms_topic_arn      = module.alerts.alarms_topic_arn
  monthly_budget_usd    = var.monthly_budget_usd
  champion_max_age_days = var.champion_max_age_days
}
