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
  name                 = "${var.prefix}-server-execution"
  description          = "ECS itself: pulls the image, reads the server's secrets, writes logs."
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
    sid       = "ReadsTheAuthString"
    actions   = ["ssm:GetParameters"]
    resources = [var.auth_string_arn]
  }

  statement {
    sid       = "WritesLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["arn:${var.partition}:logs:${var.region}:${var.account_id}:log-group:/ecs/${var.prefix}-prefect-server:*"]
  }
}

resource "aws_iam_role_policy" "execution" {
  name   = "execution"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.execution.json
}

# Apart, because the secret's ARN is known only once the database exists.
data "aws_iam_policy_document" "password" {
  statement {
    sid       = "ReadsTheDatabasePassword"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [aws_db_instance.this.master_user_secret[0].secret_arn]
  }
}

resource "aws_iam_role_policy" "password" {
  name   = "database-password"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.password.json
}

resource "aws_iam_role" "server" {
  name                 = "${var.prefix}-server"
  description          = "The Prefect server: publishes alarms, and is reached by people through a tunnel."
  assume_role_policy   = data.aws_iam_policy_document.assume.json
  permissions_boundary = var.permissions_boundary_arn
}

data "aws_iam_policy_document" "tunnel" {
  statement {
    sid = "OpensTheTunnelForPeople"
    actions = [
      "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel",
      "ssmmessages:OpenDataChannel",
    ]
    # Session channels are no resources of their own: AWS allows nothing narrower.
    resources = ["*"]
  }
}

data "aws_iam_policy_document" "notifier" {
  statement {
    sid       = "TellsPeople"
    actions   = ["sns:Publish"]
    resources = [var.alarms_topic_arn]
  }
}

resource "aws_iam_role_policy" "notifier" {
  name   = "notifier"
  role   = aws_iam_role.server.id
  policy = data.aws_iam_policy_document.notifier.json
}

# Apart, because the key's ARN is known only once it exists, and a plan should show the policy above in full.
data "aws_iam_policy_document" "key" {
  statement {
    sid       = "PublishesToAnEncryptedTopic"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.kms_key_arn]
  }
}

resource "aws_iam_role_policy" "key" {
  name   = "key"
  role   = aws_iam_role.server.id
  policy = data.aws_iam_policy_document.key.json
}

resource "aws_iam_role_policy" "tunnel" {
  name   = "tunnel"
  role   = aws_iam_role.server.id
  policy = data.aws_iam_policy_document.tunnel.json
}
