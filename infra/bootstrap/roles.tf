# Per environment two roles: `plan` for pull requests, which may look but not read data, and `deploy` for the GitHub
# environment, which may change everything but delete no store and make no role beyond the boundary.
locals {
  roles = merge(
    { for environment in var.environments : "${environment}-plan" => { environment = environment, subject = "pull_request", deploys = false } },
    { for environment in var.environments : "${environment}-deploy" => { environment = environment, subject = "environment:${environment}", deploys = true } },
  )
  deployers = { for name, role in local.roles : name => role if role.deploys }

  # Policies by role and topic; each must stay below the 6,144 characters that IAM allows.
  reads  = { for pair in setproduct(keys(local.roles), ["look"]) : "${pair[0]}-${pair[1]}" => { role = pair[0], topic = pair[1] } }
  writes = { for pair in setproduct(keys(local.deployers), ["data", "compute", "network", "identity", "release"]) : "${pair[0]}-${pair[1]}" => { role = pair[0], topic = pair[1] } }

  documents = {
    look     = data.aws_iam_policy_document.look
    data     = data.aws_iam_policy_document.data
    compute  = data.aws_iam_policy_document.compute
    network  = data.aws_iam_policy_document.network
    identity = data.aws_iam_policy_document.identity
    release  = data.aws_iam_policy_document.release
  }
}

data "aws_iam_policy_document" "github" {
  for_each = local.roles

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {
      type        = "Federated"
      identifiers = ["${local.arn}:iam::${local.account_id}:oidc-provider/token.actions.githubusercontent.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:aud"
      values   = ["sts.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:sub"
      values   = ["repo:${var.repository}:${each.value.subject}"]
    }

    # An environment of GitHub is open to every branch unless somebody restricts it, and the subject does not say which.
    dynamic "condition" {
      for_each = each.value.deploys ? [1] : []
      content {
        test     = "StringEquals"
        variable = "token.actions.githubusercontent.com:ref"
        values   = ["refs/heads/main"]
      }
    }
  }
}

resource "aws_iam_role" "github" {
  for_each = local.roles

  name                 = "${var.name}-${each.key}"
  description          = each.value.deploys ? "GitHub delivers ${each.value.environment}." : "GitHub plans ${each.value.environment} on pull requests."
  assume_role_policy   = data.aws_iam_policy_document.github[each.key].json
  max_session_duration = 2 * 3600

  depends_on = [aws_iam_openid_connect_provider.github]
}

resource "aws_iam_policy" "github" {
  for_each = merge(local.reads, local.writes)

  name   = "${var.name}-${each.key}"
  policy = local.documents[each.value.topic][local.roles[each.value.role].environment].json
}

resource "aws_iam_role_policy_attachment" "github" {
  for_each = merge(local.reads, local.writes)

  role       = aws_iam_role.github[each.value.role].name
  policy_arn = aws_iam_policy.github[each.key].arn
}
