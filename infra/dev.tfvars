environment                 = "dev"
region                      = "eu-central-1"
zones                       = ["eu-central-1a", "eu-central-1b"]
stream_mode                 = "PROVISIONED"
stream_shards               = 1
lambda_reserved_concurrency = 10
lambda_reads_stream         = true
protect_data                = false
prefect_server              = true

# For 1 transaction a second of 1,000 users (docs/cost.md); set it for yours.
monthly_budget_usd = 350

alarm_emails = ["fraudline-dev@example.com"]
