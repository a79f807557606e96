# Three roles: `execution` starts containers, `worker` starts flows, `flow` touches data. The flow's `application`
# policy holds exactly what fraudline's code calls (tests/infra compares the two).
data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account_id]
    }
  }
}

resource "aws_iam_role" "execution" {
  name                 = "${var.prefix}-execution"
  description          = "ECS itself: pulls the image, reads the Prefect credential and the erasure key, writes logs."
  assume_role_policy   = data.aws_iam_policy_document.assume.json
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role" "worker" {
  name                 = "${var.prefix}-worker"
  description          = "The Prefect worker: starts and stops flows, reads no data."
  assume_role_policy   = data.aws_iam_policy_document.assume.json
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role" "flow" {
  name                 = "${var.prefix}-flow"
  description          = "The flows: the only ones besides the Lambda that touch data."
  assume_role_policy   = data.aws_iam_policy_document.assume.json
  permissions_boundary = var.permissions_boundary_arn
}

data "aws_iam_policy_document" "execution" {
  statement {
    sid     = "LogsInToTheRegistry"
    actions = ["ecr:GetAuthorizationToken"]
    # The token is the account's: AWS has no narrower resource for this action.
    resources = ["*"]
  }

  statement {
    sid       = "PullsTheImage"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = [var.repository_arn]
  }

  statement {
    sid       = "ReadsSecrets"
    actions   = ["ssm:GetParameters"]
    resources = [var.prefect_credential.arn, var.erasure_key_arn]
  }

  statement {
    sid       = "WritesLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${local.log_group_arn}:*"]
  }
}

resource "aws_iam_role_policy" "execution" {
  name   = "execution"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.execution.json
}

locals {
  here          = "${var.region}:${var.account_id}"
  log_group_arn = "arn:${var.partition}:logs:${local.here}:log-group:/ecs/${var.prefix}"
  task_arns     = "arn:${var.partition}:ecs:${local.here}:task/${var.prefix}/*"
  task_events = {
    queue_arn = "arn:${var.partition}:sqs:${local.here}:${var.prefix}-task-events"
    rule_arn  = "arn:${var.partition}:events:${local.here}:rule/${var.prefix}-task-events"
  }
  flow_arns = "arn:${var.partition}:ecs:${local.here}:task-definition/${local.flow_family}:*"
}

data "aws_iam_policy_document" "worker" {
  statement {
    sid       = "StartsFlows"
    actions   = ["ecs:RunTask"]
    resources = [local.flow_arns]
    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = ["arn:${var.partition}:ecs:${local.here}:cluster/${var.prefix}"]
    }
  }

  statement {
    sid       = "WatchesAndStopsFlows"
    actions   = ["ecs:DescribeTasks", "ecs:StopTask"]
    resources = [local.task_arns]
  }

  statement {
    sid       = "LabelsFlowsWithTheirRun"
    actions   = ["ecs:TagResource"]
    resources = [local.task_arns]
    condition {
      test     = "StringEquals"
      variable = "ecs:CreateAction"
      values   = ["RunTask"]
    }
  }

  statement {
    sid     = "LooksAtTheFlowsTaskDefinition"
    actions = ["ecs:DescribeTaskDefinition"]
    # This action takes no resource: AWS allows nothing narrower.
    resources = ["*"]
  }

  statement {
    sid       = "HandsFlowsTheirRoles"
    actions   = ["iam:PassRole"]
    resources = ["arn:${var.partition}:iam::${var.account_id}:role/${var.prefix}-execution", "arn:${var.partition}:iam::${var.account_id}:role/${var.prefix}-flow"]
    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com"]
    }
  }

  statement {
    sid       = "HearsOfDeadTasks"
    actions   = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"]
    resources = [local.task_events.queue_arn]
  }

  statement {
    sid       = "ShowsTheLastWordsOfDeadTasks"
    actions   = ["logs:GetLogEvents"]
    resources = ["${local.log_group_arn}:log-stream:flow/*"]
  }
}

resource "aws_iam_role_policy" "worker" {
  name   = "worker"
  role   = aws_iam_role.worker.id
  policy = data.aws_iam_policy_document.worker.json
}

data "aws_iam_policy_document" "flow" {
  statement {
    sid       = "DrainsAndFeedsTheStream"
    actions   = ["kinesis:DescribeStreamSummary", "kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards", "kinesis:PutRecords"]
    resources = [var.stream_arn]
  }

  statement {
    sid       = "RecordsDecisionsAndAlerts"
    actions   = ["dynamodb:BatchGetItem", "dynamodb:BatchWriteItem"]
    resources = [var.table_arns.decisions]
  }

  statement {
    sid     = "ReadsTheReviewQueue"
    actions = ["dynamodb:Query"]
    resources = [
      "${var.table_arns.decisions}/index/by_alert_day",
      "${var.table_arns.decisions}/index/by_entity",
    ]
  }

  statement {
    # Profiles move by conditional statements in batches, which only PartiQL offers; whole generations are just written.
    sid = "BuildsAndMovesProfiles"
    actions = [
      "dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:GetItem", "dynamodb:PartiQLInsert",
      "dynamodb:PartiQLUpdate",
    ]
    resources = [var.table_arns.profiles]
  }

  statement {
    sid       = "TakesAndGivesBackLeases"
    actions   = ["dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:Query"]
    resources = [var.table_arns.leases]
  }

  statement {
    sid       = "AddsAndReadsVerdicts"
    actions   = ["dynamodb:BatchGetItem", "dynamodb:ConditionCheckItem", "dynamodb:Scan", "dynamodb:UpdateItem"]
    resources = [var.table_arns.labels]
  }

  statement {
    sid       = "RemembersAndKnowsErasedPeople"
    actions   = ["dynamodb:PutItem", "dynamodb:Scan"]
    resources = [var.table_arns.erasures]
  }

  statement {
    sid       = "ErasesPeopleInDecisions"
    actions   = ["dynamodb:Scan"]
    resources = [var.table_arns.decisions]
  }

  statement {
    sid       = "ErasesPeopleInProfiles"
    actions   = ["dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:Scan"]
    resources = [var.table_arns.profiles]
  }

  statement {
    sid       = "SaysForHowLongRestoresTellOfErasedPeople"
    actions   = ["dynamodb:DescribeContinuousBackups"]
    resources = [var.table_arns.decisions, var.table_arns.labels, var.table_arns.profiles]
  }

  statement {
    sid       = "ListsObjects"
    actions   = ["s3:ListBucket", "s3:ListBucketVersions"]
    resources = values(var.bucket_arns)
  }

  statement {
    sid = "ReadsAndWritesObjects"
    # Old versions, because an erased person must not live on in them.
    actions   = ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"]
    resources = [for arn in values(var.bucket_arns) : "${arn}/*"]
  }

  statement {
    sid       = "SendsAlerts"
    actions   = ["sns:Publish"]
    resources = [var.alerts_topic_arn]
  }
}

resource "aws_iam_role_policy" "flow" {
  name   = "application"
  role   = aws_iam_role.flow.id
  policy = data.aws_iam_policy_document.flow.json
}

# Apart, because the key's ARN is known only once it exists, and a plan should show the policies above in full.
data "aws_iam_policy_document" "key" {
  statement {
    sid       = "UsesTheKey"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.kms_key_arn]
  }
}

resource "aws_iam_role_policy" "flow_key" {
  name   = "key"
  role   = aws_iam_role.flow.id
  policy = data.aws_iam_policy_document.key.json
}
