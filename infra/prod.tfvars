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
flow_size                   = { cpu = 2048, memory = 8192 }
monthly_budget_usd          = 600
alarm_emails                = ["fraudline-alarms@example.com"]
