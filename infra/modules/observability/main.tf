# Every alarm here has a section of the same name in docs/runbook.md: what it means, how to look, what to do.
locals {
  live = { FunctionName = var.function_name, Resource = "${var.function_name}:${var.function_alias}" }

  # Dimensions of our own metrics (fraudline/realtime/telemetry.py, tasks/metrics.py).
  ours = { Environment = var.environment, Contract = var.contract }

  # Metrics of AWS services. `missing` is what silence means: most services report nothing when nothing happens, but a
  # stream nobody reads reports nothing either, and that is the worst lag of all.
  alarms = merge(
    {
      "stream-lag" = {
        describes = "The oldest unread record is over 15 minutes old, or nobody reads the stream."
        namespace = "AWS/Kinesis", metric = "GetRecords.IteratorAgeMilliseconds", dimensions = { StreamName = var.stream_name }
        statistic = "Maximum", threshold = 15 * 60 * 1000, period = 300, datapoints = 3, of = 3, missing = "breaching"
      }
      "stream-unattended" = {
        # The lag above also counts the Lambda's reading, which can hide that nobody drains. Only drains write leases.
        describes = "No worker has taken or renewed a lease for 15 minutes: transactions wait unscored."
        namespace = "AWS/DynamoDB", metric = "SuccessfulRequestLatency", dimensions = { TableName = var.leases_table, Operation = "PutItem" }
        statistic = "SampleCount", threshold = 1, period = 300, datapoints = 3, of = 3, missing = "breaching", below = true
      }
      "stream-write-throttled" = {
        describes = "Producers are turned away: the stream needs more shards, or one key is too hot."
        namespace = "AWS/Kinesis", metric = "WriteProvisionedThroughputExceeded", dimensions = { StreamName = var.stream_name }
        statistic = "Sum", threshold = 0, period = 60, datapoints = 5, of = 5, missing = "notBreaching"
      }
      "realtime-errors" = {
        describes = "The Lambda raised, although bad input is an answer: a defect or a platform fault."
        namespace = "AWS/Lambda", metric = "Errors", dimensions = local.live
        statistic = "Sum", threshold = 0, period = 60, datapoints = 2, of = 3, missing = "notBreaching"
      }
      "realtime-throttled" = {
        describes = "Checkouts are turned away: reserved concurrency is used up."
        namespace = "AWS/Lambda", metric = "Throttles", dimensions = local.live
        statistic = "Sum", threshold = 0, period = 60, datapoints = 2, of = 3, missing = "notBreaching"
      }
      "realtime-slow" = {
        # Not the function's Duration: the stream's batches, for which nobody waits, count in it as well.
        describes = "One answer in a hundred at checkout takes longer than a shop waits."
        namespace = "Fraudline", metric = "Latency", dimensions = merge(local.ours, { Kind = "single" })
        statistic = "p99", threshold = var.p99_milliseconds, period = 60, datapoints = 3, of = 5, missing = "notBreaching"
      }
      "realtime-model-turned-down" = {
        describes = "The Lambda turned a new champion down (changed bytes, wrong golden scores) and keeps the old one."
        namespace = "Fraudline", metric = "ModelsTurnedDown", dimensions = local.ours
        statistic = "Sum", threshold = 0, period = 300, datapoints = 1, of = 1, missing = "notBreaching"
      }
      "realtime-model-lookups-failed" = {
        describes = "The Lambda cannot look the champion up: the registry is out of reach."
        namespace = "Fraudline", metric = "ModelLookupsFailed", dimensions = local.ours
        statistic = "Sum", threshold = 0, period = 300, datapoints = 3, of = 3, missing = "notBreaching"
      }
      "realtime-defects" = {
        describes = "The Lambda met an exception it did not expect; the answer was an error, the log names the place."
        namespace = "Fraudline", metric = "Defects", dimensions = local.ours
        statistic = "Sum", threshold = 0, period = 60, datapoints = 2, of = 3, missing = "notBreaching"
      }
      "realtime-without-history" = {
        # Of a call, its transactions without a profile: most have one or none.
        describes = "More than one answer in twenty knew no history: the profiles are out of the Lambda's reach."
        namespace = "Fraudline", metric = "ProfileMisses", dimensions = local.ours
        statistic = "Average", threshold = 0.05, period = 60, datapoints = 3, of = 5, missing = "notBreaching"
      }
      "realtime-not-recorded" = {
        describes = "More than one decision in twenty of the Lambda is not kept: nobody can replay or compare it."
        namespace = "Fraudline", metric = "RecordsFailed", dimensions = local.ours
        statistic = "Average", threshold = 0.05, period = 60, datapoints = 3, of = 5, missing = "notBreaching"
      }
      "realtime-failed-events" = {
        describes = "Events lie in the Lambda's dead-letter queue."
        namespace = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", dimensions = { QueueName = var.failed_queue }
        statistic = "Maximum", threshold = 0, period = 300, datapoints = 1, of = 1, missing = "notBreaching"
      }
      "alerts-undelivered" = {
        describes = "Fraud alerts lie in the dead-letter queue: the case tool cannot take them."
        namespace = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", dimensions = { QueueName = var.undelivered_queue }
        statistic = "Maximum", threshold = 0, period = 300, datapoints = 1, of = 1, missing = "notBreaching"
      }
      "quarantine-growing" = {
        describes = "Far more batches than usual hold rejected records."
        namespace = "AWS/S3", metric = "PutRequests", dimensions = { BucketName = var.quarantine_bucket, FilterId = var.quarantine_filter }
        statistic = "Sum", threshold = var.quarantine_per_hour, period = 3600, datapoints = 1, of = 1, missing = "notBreaching"
      }
      "champion-stale" = {
        describes = "The champion has not changed for ${var.champion_max_age_days} days, or monitor no longer says how old it is."
        namespace = "Fraudline", metric = "ChampionAgeDays", dimensions = local.ours
        statistic = "Maximum", threshold = var.champion_max_age_days, period = 86400, datapoints = 2, of = 2, missing = "breaching"
      }
      "worker-missing" = {
        describes = "The Prefect worker is not running: no flow starts."
        # Each running task reports its CPU once a minute: as many samples as tasks, without paying for Container Insights.
        namespace = "AWS/ECS", metric = "CPUUtilization", dimensions = { ClusterName = var.cluster_name, ServiceName = var.worker_service }
        statistic = "SampleCount", threshold = 1, period = 300, datapoints = 2, of = 2, missing = "breaching", below = true
      }
    },
    var.database == null ? {} : {
      "server-missing" = {
        describes = "The Prefect server is not running: nothing is scheduled, and flows cannot report."
        namespace = "AWS/ECS", metric = "CPUUtilization", dimensions = { ClusterName = var.cluster_name, ServiceName = "prefect-server" }
        statistic = "SampleCount", threshold = 1, period = 300, datapoints = 2, of = 2, missing = "breaching", below = true
      }
      "server-database-full" = {
        # RDS adds storage when a tenth of it is left; below that it has reached its ceiling, or cannot follow.
        describes = "The Prefect server's database has less than 1 GiB left: it stops when that is used up."
        namespace = "AWS/RDS", metric = "FreeStorageSpace", dimensions = { DBInstanceIdentifier = var.database }
        statistic = "Minimum", threshold = 1024 * 1024 * 1024, period = 300, datapoints = 3, of = 3, missing = "notBreaching", below = true
      }
    },
    {
      for table in var.table_names : "throttled-${table}" => {
        describes = "DynamoDB turns reads or writes of ${table} away: a hot key, or a burst beyond what it scales to."
        namespace = "AWS/DynamoDB", metric = "ThrottledRequests", dimensions = { TableName = table }
        statistic = "Sum", threshold = 0, period = 60, datapoints = 5, of = 5, missing = "notBreaching"
      }
    },
  )
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.prefix}-${each.key}"
  alarm_description   = each.value.describes
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = startswith(each.value.statistic, "p") ? null : each.value.statistic
  extended_statistic  = startswith(each.value.statistic, "p") ? each.value.statistic : null
  comparison_operator = try(each.value.below, false) ? "LessThanThreshold" : "GreaterThanThreshold"
  threshold           = each.value.threshold
  period              = each.value.period
  datapoints_to_alarm = each.value.datapoints
  evaluation_periods  = each.value.of
  treat_missing_data  = each.value.missing
  alarm_actions       = [var.alarms_topic_arn]
  ok_actions          = [var.alarms_topic_arn]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.prefix
  dashboard_body = jsonencode({
    widgets = concat(
      [{
        type       = "alarm", x = 0, y = 0, width = 24, height = 3
        properties = { title = "Alarms", alarms = [for alarm in aws_cloudwatch_metric_alarm.this : alarm.arn] }
      }],
      [for index, graph in local.graphs : {
        type       = "metric", x = index % 3 * 8, y = 3 + floor(index / 3) * 6, width = 8, height = 6
        properties = { title = graph.title, region = var.region, stat = graph.stat, period = 60, metrics = graph.metrics }
      }],
    )
  })
}

locals {
  own    = ["Environment", var.environment, "Contract", var.contract]
  lambda = ["FunctionName", var.function_name, "Resource", "${var.function_name}:${var.function_alias}"]

  graphs = [
    {
      title   = "Transactions in and out of the stream", stat = "Sum"
      metrics = [for metric in ["IncomingRecords", "GetRecords.Records"] : ["AWS/Kinesis", metric, "StreamName", var.stream_name]]
    },
    {
      title   = "Age of the oldest unread record (ms)", stat = "Maximum"
      metrics = [["AWS/Kinesis", "GetRecords.IteratorAgeMilliseconds", "StreamName", var.stream_name]]
    },
    {
      title   = "Requests to the tables turned away", stat = "Sum"
      metrics = [for table in var.table_names : ["AWS/DynamoDB", "ThrottledRequests", "TableName", table]]
    },
    {
      title   = "Answers at checkout", stat = "Sum"
      metrics = [for metric in ["Invocations", "Errors", "Throttles"] : concat(["AWS/Lambda", metric], local.lambda)]
    },
    {
      title   = "Time of the function, for the stream's batches too (ms)", stat = "p99"
      metrics = [concat(["AWS/Lambda", "Duration"], local.lambda), concat(["AWS/Lambda", "Duration"], local.lambda, [{ stat = "p50" }])]
    },
    {
      title   = "Time to answer at checkout (ms)", stat = "p99"
      metrics = [concat(["Fraudline", "Latency"], local.own, ["Kind", "single"]), concat(["Fraudline", "Latency"], local.own, ["Kind", "single", { stat = "p50" }])]
    },
    {
      title   = "Answers without a profile, refused, or not recorded in time", stat = "Sum"
      metrics = [for metric in ["ProfileMisses", "Refused", "RecordsFailed", "RecordsLate"] : concat(["Fraudline", metric], local.own)]
    },
    {
      title   = "Scores (median, and the most suspicious hundredth)", stat = "p50"
      metrics = [concat(["Fraudline", "Score"], local.own), concat(["Fraudline", "Score"], local.own, [{ stat = "p99" }])]
    },
    {
      title   = "Batches with rejected records", stat = "Sum"
      metrics = [["AWS/S3", "PutRequests", "BucketName", var.quarantine_bucket, "FilterId", var.quarantine_filter]]
    },
  ]
}

resource "aws_budgets_budget" "monthly" {
  name         = var.prefix
  budget_type  = "COST"
  limit_amount = tostring(var.monthly_budget_usd)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"

  cost_filter {
    name   = "TagKeyValue"
    values = [format("user:Environment$%s", var.environment)]
  }

  notification {
    notification_type         = "ACTUAL"
    comparison_operator       = "GREATER_THAN"
    threshold                 = 80
    threshold_type            = "PERCENTAGE"
    subscriber_sns_topic_arns = [var.alarms_topic_arn]
  }

  notification {
    notification_type         = "FORECASTED"
    comparison_operator       = "GREATER_THAN"
    threshold                 = 100
    threshold_type            = "PERCENTAGE"
    subscriber_sns_topic_arns = [var.alarms_topic_arn]
  }
}
