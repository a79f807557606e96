# The most that any role made by delivery can ever do. Roles grant less; tests/infra checks that all fit inside.
locals {
  boundary_arn = "${local.arn}:iam::${local.account_id}:policy/${var.name}-boundary"

  # The roles of running parts: never the roles of delivery itself (NAME-ENV-plan, NAME-ENV-deploy).
  runtime_roles = { for environment in var.environments : environment => [
    for part in ["execution", "flow", "realtime", "server", "server-execution", "worker"] :
    "${local.arn}:iam::${local.account_id}:role/${var.name}-${environment}-${part}"
  ] }
}

data "aws_iam_policy_document" "boundary" {
  statement {
    sid = "Data"
    actions = [
      "dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:ConditionCheckItem", "dynamodb:DeleteItem",
      "dynamodb:DescribeContinuousBackups", "dynamodb:GetItem", "dynamodb:PartiQLDelete",
      "dynamodb:PartiQLInsert", "dynamodb:PartiQLSelect", "dynamodb:PartiQLUpdate", "dynamodb:PutItem", "dynamodb:Query",
      "dynamodb:Scan", "dynamodb:UpdateItem",
      "kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:GetRecords", "kinesis:GetShardIterator",
      "kinesis:ListShards", "kinesis:PutRecords",
      "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket", "s3:ListBucketVersions", "s3:PutObject",
      "sns:Publish",
      "sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage", "sqs:SendMessage",
    ]
    resources = concat(
      [for kind in ["dynamodb:${local.here}:table/", "kinesis:${local.here}:stream/", "sns:${local.here}:", "sqs:${local.here}:"] :
      "${local.arn}:${kind}${var.name}-*"],
      # Not `NAME-*`: the state bucket is delivery's alone.
      [for pair in setproduct(var.environments, ["landing", "models", "quarantine", "reports"]) : "${local.arn}:s3:::${var.name}-${pair[0]}-${pair[1]}-*"],
    )
  }

  statement {
    sid       = "Keys"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = ["${local.arn}:kms:${local.here}:key/*"]
    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/Application"
      values   = [var.name]
    }
  }

  statement {
    sid     = "Running"
    actions = ["ecs:DescribeTasks", "ecs:RunTask", "ecs:StopTask", "ecs:TagResource", "logs:CreateLogStream", "logs:GetLogEvents", "logs:PutLogEvents"]
    resources = [
      "${local.arn}:ecs:${local.here}:task-definition/${var.name}-*",
      "${local.arn}:ecs:${local.here}:task/${var.name}-*",
      "${local.arn}:logs:${local.here}:log-group:/aws/lambda/${var.name}-*",
      "${local.arn}:logs:${local.here}:log-group:/ecs/${var.name}-*",
    ]
  }

  statement {
    sid       = "Image"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = [for environment in var.environments : "${local.arn}:ecr:${local.here}:repository/${var.name}-${environment}"]
  }

  statement {
    sid       = "Secrets"
    actions   = ["secretsmanager:GetSecretValue", "ssm:GetParameters"]
    resources = ["${local.arn}:secretsmanager:${local.here}:secret:rds!db-*", "${local.arn}:ssm:${local.here}:parameter/${var.name}/*"]
  }

  statement {
    sid       = "Roles"
    actions   = ["iam:PassRole"]
    resources = flatten(values(local.runtime_roles))
  }

  statement {
    sid = "WithoutResource"
    actions = [
      "ecr:GetAuthorizationToken", "ecs:DescribeTaskDefinition", "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel",
      "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
    ]
    # AWS allows nothing narrower for these.
    resources = ["*"]
  }
}

resource "aws_iam_policy" "boundary" {
  name        = "${var.name}-boundary"
  description = "The most that any role made by delivery can do."
  policy      = data.aws_iam_policy_document.boundary.json
}
