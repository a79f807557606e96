# What Terraform calls, one action at a time. Missing from all of them on purpose: DeleteTable, DeleteStream,
# DeleteBucket, DeleteObject (but for the state's lock), DeleteDBInstance, ScheduleKeyDeletion, and any reading of tables
# and buckets: a person tears down (docs/deployment-guide.md). What delivery brings is another matter: code that it
# releases runs with the roles of running parts, which read and write data. So main is what has to be guarded.
data "aws_iam_policy_document" "look" {
  for_each = var.environments

  statement {
    sid       = "ReadsTheState"
    actions   = ["s3:GetObject"]
    resources = ["${local.state.arn}/${each.value}/*"]
  }

  statement {
    sid       = "FindsTheState"
    actions   = ["s3:ListBucket"]
    resources = [local.state.arn]
  }

  statement {
    sid = "LooksAtOwnResources"
    actions = [
      "cloudwatch:DescribeAlarms", "cloudwatch:GetDashboard", "cloudwatch:ListTagsForResource",
      "dynamodb:DescribeContinuousBackups", "dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive", "dynamodb:ListTagsOfResource",
      "ecs:DescribeClusters", "ecs:DescribeServiceDeployments", "ecs:DescribeServices", "ecs:ListServiceDeployments",
      "ecs:ListTagsForResource",
      "events:DescribeRule", "events:ListTagsForResource", "events:ListTargetsByRule",
      "budgets:ListTagsForResource", "budgets:ViewBudget",
      "kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:ListTagsForResource", "kinesis:ListTagsForStream",
      "lambda:GetAlias", "lambda:GetFunction", "lambda:GetFunctionCodeSigningConfig", "lambda:GetFunctionConcurrency",
      "lambda:GetFunctionUrlConfig", "lambda:GetPolicy", "lambda:ListTags", "lambda:ListVersionsByFunction",
      "logs:ListTagsForResource",
      "rds:DescribeDBParameterGroups", "rds:DescribeDBParameters", "rds:DescribeDBSubnetGroups", "rds:ListTagsForResource",
      "s3:GetAccelerateConfiguration", "s3:GetBucketAcl", "s3:GetBucketCORS", "s3:GetBucketLocation", "s3:GetBucketLogging",
      "s3:GetBucketObjectLockConfiguration", "s3:GetBucketOwnershipControls", "s3:GetBucketPolicy",
      "s3:GetBucketPublicAccessBlock", "s3:GetBucketRequestPayment", "s3:GetBucketTagging", "s3:GetBucketVersioning",
      "s3:GetBucketWebsite", "s3:GetEncryptionConfiguration", "s3:GetLifecycleConfiguration", "s3:GetMetricsConfiguration",
      "s3:GetReplicationConfiguration", "s3:ListBucket", "s3:ListTagsForResource",
      "sns:GetTopicAttributes", "sns:ListTagsForResource",
      "sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ListQueueTags",
      "iam:GetPolicy", "iam:GetPolicyVersion", "iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies",
      "iam:ListInstanceProfilesForRole", "iam:ListPolicyVersions", "iam:ListRolePolicies",
    ]
    resources = local.own[each.value]
  }

  statement {
    # The provider looks a database up by a filter on its resource id, not by its name, and AWS judges that against all
    # databases (terraform-provider-aws #32732, #35737).
    sid       = "LooksAtTheDatabase"
    actions   = ["rds:DescribeDBInstances"]
    resources = ["${local.arn}:rds:${local.here}:db:*"]
  }

  statement {
    sid       = "LooksAtTheKey"
    actions   = ["kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags"]
    resources = ["${local.arn}:kms:${local.here}:key/*"]
    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/Environment"
      values   = [each.value]
    }
  }

  statement {
    sid = "LooksWhereAwsKnowsNoNarrowerResource"
    actions = [
      "ec2:DescribeAddresses", "ec2:DescribeAddressesAttribute", "ec2:DescribeInternetGateways",
      "ec2:DescribeNatGateways", "ec2:DescribeNetworkAcls", "ec2:DescribeNetworkInterfaces", "ec2:DescribePrefixLists",
      "ec2:DescribeRegions", "ec2:DescribeRouteTables", "ec2:DescribeSecurityGroupRules", "ec2:DescribeSecurityGroups",
      "ec2:DescribeSubnets", "ec2:DescribeTags", "ec2:DescribeVpcEndpoints", "ec2:DescribeVpcs",
      "ecs:DescribeTaskDefinition", "kms:ListAliases", "logs:DescribeLogGroups",
      "rds:DescribeDBEngineVersions", "servicediscovery:ListNamespaces",
      "servicediscovery:ListTagsForResource", "sns:GetSubscriptionAttributes",
    ]
    # These take no resource: AWS allows nothing narrower.
    resources = ["*"]
  }

  statement {
    # Ids are invented by AWS, so kinds of resources of this account and region stand for them.
    sid = "LooksAtWhatHasNoName"
    actions = [
      "ec2:DescribeVpcAttribute", "lambda:GetEventSourceMapping", "servicediscovery:GetNamespace",
      "servicediscovery:GetOperation", "servicediscovery:GetService",
    ]
    resources = [for kind in [
      "ec2:${local.here}:vpc/", "lambda:${local.here}:event-source-mapping:", "servicediscovery:${local.here}:namespace/",
      "servicediscovery:${local.here}:service/",
    ] : "${local.arn}:${kind}*"]
  }
}

locals {
  # Everything of one environment that carries its name in its ARN.
  own = { for environment in var.environments : environment => concat(
    [for kind in [
      "cloudwatch:${local.here}:alarm:", "dynamodb:${local.here}:table/", "ecs:${local.here}:cluster/", "ecs:${local.here}:service/",
      "ecs:${local.here}:task-definition/", "events:${local.here}:rule/", "kinesis:${local.here}:stream/",
      "lambda:${local.here}:function:", "logs:${local.here}:log-group:/aws/lambda/", "logs:${local.here}:log-group:/aws/rds/instance/",
      "logs:${local.here}:log-group:/ecs/",
      "rds:${local.here}:db:", "rds:${local.here}:pg:", "rds:${local.here}:subgrp:", "s3:::", "sns:${local.here}:", "sqs:${local.here}:",
      "iam::${local.account_id}:policy/", "iam::${local.account_id}:role/",
    ] : "${local.arn}:${kind}${var.name}-${environment}-*"],
    [
      "${local.arn}:budgets::${local.account_id}:budget/${var.name}-${environment}",
      "${local.arn}:cloudwatch::${local.account_id}:dashboard/${var.name}-${environment}",
      "${local.arn}:ecs:${local.here}:cluster/${var.name}-${environment}",
      "${local.arn}:ecs:${local.here}:service/${var.name}-${environment}/*",
      "${local.arn}:ecs:${local.here}:service-deployment/${var.name}-${environment}/*",
      "${local.arn}:logs:${local.here}:log-group:/ecs/${var.name}-${environment}",
      "${local.arn}:logs:${local.here}:log-group:/ecs/${var.name}-${environment}:*",
    ],
  ) }
}

data "aws_iam_policy_document" "data" {
  for_each = var.environments

  statement {
    sid = "ChangesStoresButDeletesNone"
    actions = [
      "dynamodb:CreateTable", "dynamodb:TagResource", "dynamodb:UntagResource", "dynamodb:UpdateContinuousBackups",
      "dynamodb:UpdateTable", "dynamodb:UpdateTimeToLive",
      "kinesis:AddTagsToStream", "kinesis:CreateStream", "kinesis:DecreaseStreamRetentionPeriod",
      "kinesis:IncreaseStreamRetentionPeriod", "kinesis:RemoveTagsFromStream", "kinesis:StartStreamEncryption",
      "kinesis:TagResource", "kinesis:UntagResource",
      "s3:CreateBucket", "s3:PutBucketOwnershipControls", "s3:PutBucketPolicy", "s3:PutBucketPublicAccessBlock",
      "s3:PutBucketTagging", "s3:PutBucketVersioning", "s3:PutEncryptionConfiguration", "s3:PutLifecycleConfiguration",
      "s3:PutMetricsConfiguration", "s3:TagResource", "s3:UntagResource",
      "sns:CreateTopic", "sns:DeleteTopic", "sns:SetTopicAttributes", "sns:Subscribe", "sns:TagResource", "sns:UntagResource",
      "sqs:CreateQueue", "sqs:SetQueueAttributes", "sqs:TagQueue", "sqs:UntagQueue",
    ]
    resources = local.own[each.value]
  }

  statement {
    sid = "ChangesStreamsAndSubscriptions"
    actions = [
      "kinesis:DisableEnhancedMonitoring", "kinesis:EnableEnhancedMonitoring", "kinesis:UpdateShardCount",
      "kinesis:UpdateStreamMode", "sns:SetSubscriptionAttributes", "sns:Unsubscribe",
    ]
    # These take no resource: AWS allows nothing narrower.
    resources = ["*"]
  }

  statement {
    sid = "ChangesTheDatabaseButDeletesNone"
    actions = [
      "rds:AddTagsToResource", "rds:CreateDBInstance", "rds:CreateDBParameterGroup", "rds:CreateDBSubnetGroup",
      "rds:ModifyDBInstance", "rds:ModifyDBParameterGroup", "rds:ModifyDBSubnetGroup", "rds:RebootDBInstance",
      "rds:RemoveTagsFromResource", "rds:ResetDBParameterGroup",
    ]
    resources = [for kind in ["db", "pg", "subgrp"] : "${local.arn}:rds:${local.here}:${kind}:${var.name}-${each.value}-*"]
  }

  statement {
    # A database is also judged by its option group, which is AWS's own for its engine.
    sid       = "UsesTheDefaultOptions"
    actions   = ["rds:CreateDBInstance", "rds:ModifyDBInstance"]
    resources = ["${local.arn}:rds:${local.here}:og:default:postgres-*"]
  }

  statement {
    # RDS makes the secret of its master password with the rights of whoever makes the database.
    sid       = "LetsRdsKeepItsPassword"
    actions   = ["secretsmanager:CreateSecret", "secretsmanager:TagResource"]
    resources = ["${local.arn}:secretsmanager:${local.here}:secret:rds!db-*"]
  }

  statement {
    sid     = "MakesTheKey"
    actions = ["kms:CreateKey"]
    # A key has no name before it exists: AWS allows nothing narrower.
    resources = ["*"]
    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/Environment"
      values   = [each.value]
    }
  }

  statement {
    # `kms:TagResource` on creation is judged by the tags asked for, everything later by the tags the key has.
    sid       = "TagsTheKeyItMakes"
    actions   = ["kms:TagResource"]
    resources = ["${local.arn}:kms:${local.here}:key/*"]
    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/Environment"
      values   = [each.value]
    }
  }

  statement {
    # CreateGrant, Decrypt and GenerateDataKey: services that encrypt on creation act with the creator's rights.
    sid = "ChangesTheKeyAndLetsServicesUseIt"
    actions = [
      "kms:CreateAlias", "kms:CreateGrant", "kms:Decrypt", "kms:EnableKeyRotation", "kms:Encrypt", "kms:GenerateDataKey",
      "kms:PutKeyPolicy", "kms:UpdateAlias", "kms:UpdateKeyDescription",
    ]
    resources = ["${local.arn}:kms:${local.here}:key/*"]
    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/Environment"
      values   = [each.value]
    }
  }

  statement {
    sid       = "NamesTheKey"
    actions   = ["kms:CreateAlias", "kms:UpdateAlias"]
    resources = ["${local.arn}:kms:${local.here}:alias/${var.name}-${each.value}"]
  }
}

data "aws_iam_policy_document" "compute" {
  for_each = var.environments

  statement {
    sid = "ChangesFunctionTasksAndAlarms"
    actions = [
      "budgets:ModifyBudget", "budgets:TagResource", "budgets:UntagResource",
      "cloudwatch:DeleteAlarms", "cloudwatch:DeleteDashboards", "cloudwatch:PutDashboard", "cloudwatch:PutMetricAlarm",
      "cloudwatch:TagResource", "cloudwatch:UntagResource",
      "ecs:CreateCluster", "ecs:CreateService", "ecs:DeleteService", "ecs:RegisterTaskDefinition", "ecs:TagResource",
      "ecs:UntagResource", "ecs:UpdateCluster", "ecs:UpdateClusterSettings", "ecs:UpdateService",
      "events:DeleteRule", "events:PutRule", "events:PutTargets", "events:RemoveTargets", "events:TagResource",
      "events:UntagResource",
      "lambda:CreateAlias", "lambda:CreateFunction", "lambda:CreateFunctionUrlConfig", "lambda:DeleteFunctionConcurrency",
      "lambda:PublishVersion", "lambda:PutFunctionConcurrency", "lambda:TagResource", "lambda:UntagResource",
      "lambda:UpdateAlias", "lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration", "lambda:UpdateFunctionUrlConfig",
      "logs:AssociateKmsKey", "logs:CreateLogGroup", "logs:PutRetentionPolicy", "logs:TagResource", "logs:UntagResource",
    ]
    resources = local.own[each.value]
  }

  statement {
    sid     = "ConnectsStreamAndFunction"
    actions = ["lambda:CreateEventSourceMapping"]
    # A mapping has no id before it exists: AWS allows nothing narrower. The condition says whose it may be.
    resources = ["*"]
    condition {
      test     = "ArnLike"
      variable = "lambda:FunctionArn"
      values   = ["${local.arn}:lambda:${local.here}:function:${var.name}-${each.value}-*"]
    }
  }

  statement {
    sid       = "ChangesThatConnection"
    actions   = ["lambda:DeleteEventSourceMapping", "lambda:UpdateEventSourceMapping"]
    resources = ["${local.arn}:lambda:${local.here}:event-source-mapping:*"]
    condition {
      test     = "ArnLike"
      variable = "lambda:FunctionArn"
      values   = ["${local.arn}:lambda:${local.here}:function:${var.name}-${each.value}-*"]
    }
  }

  statement {
    sid     = "RetiresTaskDefinitions"
    actions = ["ecs:DeregisterTaskDefinition"]
    # This action takes no resource: AWS allows nothing narrower.
    resources = ["*"]
  }
}

data "aws_iam_policy_document" "network" {
  for_each = var.environments

  statement {
    # Ids are invented by AWS, so kinds of resources of this account and region stand for them.
    sid = "ChangesTheNetwork"
    actions = [
      "ec2:AllocateAddress", "ec2:AssociateRouteTable", "ec2:AttachInternetGateway", "ec2:AuthorizeSecurityGroupEgress",
      "ec2:AuthorizeSecurityGroupIngress", "ec2:CreateInternetGateway", "ec2:CreateNatGateway", "ec2:CreateRoute",
      "ec2:CreateRouteTable", "ec2:CreateSecurityGroup", "ec2:CreateSubnet", "ec2:CreateTags", "ec2:CreateVpc",
      "ec2:CreateVpcEndpoint", "ec2:DeleteNatGateway", "ec2:DeleteRoute", "ec2:DeleteSecurityGroup", "ec2:DeleteTags",
      "ec2:DisassociateAddress", "ec2:DisassociateRouteTable", "ec2:ModifySecurityGroupRules", "ec2:ModifyVpcAttribute",
      "ec2:ModifyVpcEndpoint", "ec2:ReleaseAddress", "ec2:ReplaceRoute", "ec2:RevokeSecurityGroupEgress",
      "ec2:RevokeSecurityGroupIngress",
    ]
    resources = [for kind in [
      "elastic-ip", "internet-gateway", "natgateway", "network-interface", "route-table", "security-group",
      "security-group-rule", "subnet", "vpc", "vpc-endpoint",
    ] : "${local.arn}:ec2:${local.here}:${kind}/*"]
  }

  statement {
    sid = "MakesTheNamespace"
    actions = [
      "route53:CreateHostedZone", "route53:ListHostedZonesByName", "servicediscovery:CreatePrivateDnsNamespace",
      "servicediscovery:TagResource", "servicediscovery:UntagResource",
    ]
    # Neither a zone nor a namespace has a name before it exists, and tagging takes no resource.
    resources = ["*"]
  }

  statement {
    sid = "ChangesTheNamespace"
    actions = [
      "route53:GetHostedZone", "servicediscovery:CreateService", "servicediscovery:DeleteService", "servicediscovery:UpdateService",
    ]
    resources = [
      "${local.arn}:route53:::hostedzone/*", "${local.arn}:servicediscovery:${local.here}:namespace/*",
      "${local.arn}:servicediscovery:${local.here}:service/*",
    ]
  }
}

data "aws_iam_policy_document" "identity" {
  for_each = var.environments

  statement {
    # Without this condition delivery could make itself an administrator.
    sid       = "MakesRolesWithinTheBoundary"
    actions   = ["iam:CreateRole", "iam:DeleteRolePolicy", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"]
    resources = local.runtime_roles[each.value]
    condition {
      test     = "StringEquals"
      variable = "iam:PermissionsBoundary"
      values   = [local.boundary_arn]
    }
  }

  statement {
    sid       = "ChangesRoles"
    actions   = ["iam:DeleteRole", "iam:TagRole", "iam:UntagRole", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole", "iam:UpdateRoleDescription"]
    resources = local.runtime_roles[each.value]
  }

  statement {
    sid       = "HandsRolesToServices"
    actions   = ["iam:PassRole"]
    resources = local.runtime_roles[each.value]
    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com", "lambda.amazonaws.com"]
    }
  }

  statement {
    sid       = "ChangesTheCallersPolicy"
    actions   = ["iam:CreatePolicy", "iam:CreatePolicyVersion", "iam:DeletePolicy", "iam:DeletePolicyVersion", "iam:TagPolicy", "iam:UntagPolicy"]
    resources = ["${local.arn}:iam::${local.account_id}:policy/${var.name}-${each.value}-realtime-caller"]
  }

  statement {
    # AWS makes these once per account, on the first cluster and the first database.
    sid     = "LetsServicesMakeTheirOwnRoles"
    actions = ["iam:CreateServiceLinkedRole"]
    resources = [
      "${local.arn}:iam::${local.account_id}:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS",
      "${local.arn}:iam::${local.account_id}:role/aws-service-role/rds.amazonaws.com/AWSServiceRoleForRDS",
    ]
  }
}

data "aws_iam_policy_document" "release" {
  for_each = var.environments

  statement {
    sid       = "WritesTheState"
    actions   = ["s3:PutObject"]
    resources = ["${local.state.arn}/${each.value}/*"]
  }

  statement {
    sid       = "GivesTheLockBack"
    actions   = ["s3:DeleteObject"]
    resources = ["${local.state.arn}/${each.value}/*.tflock"]
  }

  statement {
    sid     = "LogsInToTheRegistry"
    actions = ["ecr:GetAuthorizationToken"]
    # The token is the account's: AWS has no narrower resource for this action.
    resources = ["*"]
  }

  statement {
    sid = "PushesTheImage"
    actions = [
      "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:DescribeImages",
      "ecr:GetDownloadUrlForLayer", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
    ]
    resources = ["${local.arn}:ecr:${local.here}:repository/${var.name}-${each.value}"]
  }

  statement {
    sid       = "RegistersFlowsByATask"
    actions   = ["ecs:RunTask"]
    resources = ["${local.arn}:ecs:${local.here}:task-definition/${var.name}-${each.value}-register:*"]
  }

  statement {
    # It gets the tags of its definition, by which the budget counts it.
    sid       = "LabelsThatTask"
    actions   = ["ecs:TagResource"]
    resources = ["${local.arn}:ecs:${local.here}:task/${var.name}-${each.value}/*"]
    condition {
      test     = "StringEquals"
      variable = "ecs:CreateAction"
      values   = ["RunTask"]
    }
  }

  statement {
    sid       = "WatchesThatTask"
    actions   = ["ecs:DescribeTasks"]
    resources = ["${local.arn}:ecs:${local.here}:task/${var.name}-${each.value}/*"]
  }
}
