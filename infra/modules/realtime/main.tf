# The function is not in the VPC: it needs only AWS services, and a VPC would add a NAT gateway to its path.
resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/lambda/${var.function_name}"
  retention_in_days = var.log_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_sqs_queue" "failed" {
  name                      = "${var.function_name}-failed"
  message_retention_seconds = 14 * 24 * 3600
  kms_master_key_id         = var.kms_key_arn
}

resource "aws_lambda_function" "this" {
  function_name                  = var.function_name
  description                    = "Scores a transaction at checkout from the champion bundle and the user's profile."
  handler                        = "fraudline.realtime.handler.handler"
  runtime                        = var.runtime
  architectures                  = [var.architecture]
  filename                       = var.package
  source_code_hash               = filebase64sha256(var.package)
  role                           = aws_iam_role.this.arn
  memory_size                    = var.memory_mib
  timeout                        = 10
  reserved_concurrent_executions = var.reserved_concurrency
  kms_key_arn                    = var.kms_key_arn
  publish                        = true

  environment {
    variables = var.settings
  }

  dead_letter_config {
    target_arn = aws_sqs_queue.failed.arn
  }

  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.this.name
  }

  depends_on = [aws_iam_role_policy.application, aws_iam_role_policy.platform, aws_iam_role_policy.key]
}

# Everybody calls the alias. Delivery moves it to a new version in steps and back again (infra/delivery/shift_traffic.py),
# so Terraform only makes it.
resource "aws_lambda_alias" "live" {
  name             = "live"
  description      = "The version that answers; moved by delivery."
  function_name    = aws_lambda_function.this.function_name
  function_version = aws_lambda_function.this.version

  lifecycle {
    ignore_changes = [function_version, routing_config]
  }
}

resource "aws_lambda_function_url" "this" {
  function_name      = aws_lambda_function.this.function_name
  qualifier          = aws_lambda_alias.live.name
  authorization_type = "AWS_IAM"
}

resource "aws_lambda_event_source_mapping" "stream" {
  count = var.reads_stream ? 1 : 0

  function_name                      = aws_lambda_alias.live.arn
  event_source_arn                   = var.event_source_arn
  starting_position                  = "LATEST"
  batch_size                         = 100
  maximum_batching_window_in_seconds = 1
  function_response_types            = ["ReportBatchItemFailures"]

  # One poison record: halve the batch until it stands alone, give up on it, keep it, go on.
  bisect_batch_on_function_error = true
  maximum_retry_attempts         = 5
  maximum_record_age_in_seconds  = 3600

  destination_config {
    on_failure {
      destination_arn = aws_sqs_queue.failed.arn
    }
  }

  depends_on = [aws_iam_role_policy.stream]
}
