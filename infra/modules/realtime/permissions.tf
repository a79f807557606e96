# `application` holds exactly what fraudline's code calls (tests/infra compares the two); `platform` what Lambda itself
# needs to run it.
locals {
  here             = "${var.region}:${var.account_id}"
  log_group_arn    = "arn:${var.partition}:logs:${local.here}:log-group:/aws/lambda/${var.function_name}"
  failed_queue_arn = "arn:${var.partition}:sqs:${local.here}:${var.function_name}-failed"
  alias_arn        = "arn:${var.partition}:lambda:${local.here}:function:${var.function_name}:live"
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "this" {
  name                 = var.function_name
  description          = "The real-time Lambda."
  assume_role_policy   = data.aws_iam_policy_document.assume.json
  permissions_boundary = var.permissions_boundary_arn
}

data "aws_iam_policy_document" "application" {
  statement {
    sid       = "ReadsProfilesAndEarlierDecisions"
    actions   = ["dynamodb:BatchGetItem"]
    resources = [var.table_arns.decisions, var.table_arns.profiles]
  }

  statement {
    sid       = "RecordsDecisions"
    actions   = ["dynamodb:PutItem"]
    resources = [var.table_arns.decisions]
  }

  statement {
    sid       = "FindsTheChampion"
    actions   = ["s3:ListBucket"]
    resources = [var.models_bucket_arn]
  }

  statement {
    sid       = "LoadsTheChampion"
    actions   = ["s3:GetObject"]
    resources = ["${var.models_bucket_arn}/*"]
  }
}

resource "aws_iam_role_policy" "application" {
  name   = "application"
  role   = aws_iam_role.this.id
  policy = data.aws_iam_policy_document.application.json
}

data "aws_iam_policy_document" "platform" {
  statement {
    sid       = "WritesItsLog"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${local.log_group_arn}:*"]
  }

  statement {
    sid       = "KeepsWhatFailed"
    actions   = ["sqs:SendMessage"]
    resources = [local.failed_queue_arn]
  }
}

resource "aws_iam_role_policy" "platform" {
  name   = "platform"
  role   = aws_iam_role.this.id
  policy = data.aws_iam_policy_document.platform.json
}

# Apart, because the key's ARN is known only once it exists, and a plan should show the policies above in full.
data "aws_iam_policy_document" "key" {
  statement {
    sid       = "UsesTheKey"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.kms_key_arn]
  }
}

resource "aws_iam_role_policy" "key" {
  name   = "key"
  role   = aws_iam_role.this.id
  policy = data.aws_iam_policy_document.key.json
}

data "aws_iam_policy_document" "stream" {
  statement {
    sid = "EventSourceReadsTheStream"
    actions = [
      "kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:GetRecords", "kinesis:GetShardIterator",
      "kinesis:ListShards",
    ]
    resources = [var.stream_arn]
  }
}

resource "aws_iam_role_policy" "stream" {
  count = var.reads_stream ? 1 : 0

  name   = "stream"
  role   = aws_iam_role.this.id
  policy = data.aws_iam_policy_document.stream.json
}

# Attach this to the role of whatever asks at checkout. Since October 2025 a Function URL wants both actions.
data "aws_iam_policy_document" "caller" {
  statement {
    sid       = "AsksTheFunctionUrl"
    actions   = ["lambda:InvokeFunctionUrl"]
    resources = [local.alias_arn]
    condition {
      test     = "StringEquals"
      variable = "lambda:FunctionUrlAuthType"
      values   = ["AWS_IAM"]
    }
  }

  statement {
    sid       = "OnlyThroughTheUrl"
    actions   = ["lambda:InvokeFunction"]
    resources = [local.alias_arn]
    condition {
      test     = "Bool"
      variable = "lambda:InvokedViaFunctionUrl"
      values   = ["true"]
    }
  }
}

resource "aws_iam_policy" "caller" {
  name        = "${var.function_name}-caller"
  description = "May ask the real-time Lambda for a score."
  policy      = data.aws_iam_policy_document.caller.json
}
