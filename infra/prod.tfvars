environment                 = "prod"
region                      = "eu-central-1"
zones                       = ["eu-central-1a", "eu-central-1b"]
stream_mode                 = "ON_DEMAND"
stream_retention_days       = 14
lambda_reserved_concurrency = 200
lambda_reads_stream         = true
protect_data                = true
nat_per_zone                = true
prefect_server              = true

# For 10 transactions a second of 10,000 users (docs/cost.md); set it for yours.
monthly_budget_usd = 1200

alarm_emails = ["fraudline-alarms@example.com"]
