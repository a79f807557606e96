# A small worker waits for scheduled runs; each run is a Fargate task of its own size, so that a retrain never starves
# the stream. Only flows may touch the data; the worker may only start flows.
resource "aws_ecs_cluster" "this" {
  name = var.prefix
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/ecs/${var.prefix}"
  retention_in_days = var.log_days
  kms_key_id        = var.kms_key_arn
}

locals {
  flow_family = "${var.prefix}-flow"

  log_configuration = {
    for stream in ["worker", "flow", "register"] : stream => {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this.name
        awslogs-region        = var.region
        awslogs-stream-prefix = stream
      }
    }
  }

  prefect = {
    PREFECT_API_URL                  = var.prefect_api_url
    PREFECT_SERVER_ANALYTICS_ENABLED = "false"
  }
  observer = {
    PREFECT_INTEGRATIONS_AWS_ECS_OBSERVER_ENABLED        = "true"
    PREFECT_INTEGRATIONS_AWS_ECS_OBSERVER_SQS_QUEUE_NAME = aws_sqs_queue.task_events.name
  }
  # What register_flows.py needs to describe the work pool.
  pool = {
    DEPLOY_WORK_POOL          = var.work_pool
    DEPLOY_CLUSTER            = aws_ecs_cluster.this.arn
    DEPLOY_TASK_DEFINITION    = local.flow_family
    DEPLOY_SUBNETS            = join(",", var.subnet_ids)
    DEPLOY_SECURITY_GROUP     = var.security_group_id
    DEPLOY_CREDENTIAL_SETTING = var.prefect_credential.setting
    DEPLOY_CREDENTIAL_ARN     = var.prefect_credential.arn
  }
  credential = [{ name = var.prefect_credential.setting, valueFrom = var.prefect_credential.arn }]
}

resource "aws_ecs_task_definition" "flow" {
  family                   = local.flow_family
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  # Each deployment asks for a size of its own (prefect.yaml); this one is of whatever asks for none.
  cpu                = 1024
  memory             = 4096
  execution_role_arn = aws_iam_role.execution.arn
  task_role_arn      = aws_iam_role.flow.arn

  runtime_platform {
    cpu_architecture        = "X86_64"
    operating_system_family = "LINUX"
  }

  container_definitions = jsonencode([{
    # The name under which the ECS worker and its observer look for the flow's own container.
    name      = "prefect"
    image     = var.image
    essential = true
    # A slice stops at a batch boundary within 5 s of SIGTERM; the rest is for a retrain to write its last words.
    stopTimeout      = 60
    environment      = [for key, value in merge(var.settings, local.prefect) : { name = key, value = value }]
    secrets          = concat(local.credential, [{ name = "FRAUDLINE_ERASURE_KEY", valueFrom = var.erasure_key_arn }])
    logConfiguration = local.log_configuration["flow"]
  }])
}

# What delivery runs once the flows' image has changed. It has no role: it tells the Prefect server, and touches no data.
resource "aws_ecs_task_definition" "register" {
  family                   = "${var.prefix}-register"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 1024
  memory                   = 4096
  execution_role_arn       = aws_iam_role.execution.arn

  runtime_platform {
    cpu_architecture        = "X86_64"
    operating_system_family = "LINUX"
  }

  container_definitions = jsonencode([{
    # The name under which run_task.py gives its command.
    name             = "prefect"
    image            = var.image
    essential        = true
    environment      = [for key, value in merge(var.settings, local.prefect, local.pool) : { name = key, value = value }]
    secrets          = local.credential
    logConfiguration = local.log_configuration["register"]
  }])
}

resource "aws_ecs_task_definition" "worker" {
  family                   = "${var.prefix}-worker"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 256
  memory                   = 1024
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.worker.arn

  runtime_platform {
    cpu_architecture        = "X86_64"
    operating_system_family = "LINUX"
  }

  container_definitions = jsonencode([{
    name             = "worker"
    image            = var.image
    essential        = true
    command          = ["prefect", "worker", "start", "--pool", var.work_pool, "--type", "ecs", "--with-healthcheck"]
    environment      = [for key, value in merge(local.prefect, local.observer) : { name = key, value = value }]
    secrets          = local.credential
    logConfiguration = local.log_configuration["worker"]
    healthCheck = {
      command     = ["CMD", "python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/health', timeout=5)"]
      interval    = 30
      timeout     = 10
      retries     = 3
      startPeriod = 120
    }
  }])
}

# A worker that finds no server gives up, and after three of them ECS gives the deployment up: it must come second.
resource "terraform_data" "server" {
  input = var.server_service
}

resource "aws_ecs_service" "worker" {
  name            = "worker"
  cluster         = aws_ecs_cluster.this.id
  task_definition = aws_ecs_task_definition.worker.arn
  desired_count   = 1
  launch_type     = "FARGATE"
  propagate_tags  = "SERVICE"

  # A delivery whose worker does not start has failed.
  wait_for_steady_state = true

  # Two workers for a moment are harmless, none is not: start the new one before stopping the old.
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets         = var.subnet_ids
    security_groups = [var.security_group_id]
  }

  depends_on = [terraform_data.server, aws_iam_role_policy.execution, aws_iam_role_policy.worker]
}

# Tells the worker when a task died without a word (out of memory, no capacity), so that its run shows as crashed.
resource "aws_sqs_queue" "task_events" {
  name                      = "${var.prefix}-task-events"
  message_retention_seconds = 24 * 3600
  # Holds no personal data; EventBridge could use our key only with a wider key policy.
  sqs_managed_sse_enabled = true
}

resource "aws_cloudwatch_event_rule" "task_events" {
  name        = "${var.prefix}-task-events"
  description = "State changes of this cluster's tasks."

  event_pattern = jsonencode({
    source      = ["aws.ecs"]
    detail-type = ["ECS Task State Change"]
    detail      = { clusterArn = [aws_ecs_cluster.this.arn] }
  })
}

resource "aws_cloudwatch_event_target" "task_events" {
  rule = aws_cloudwatch_event_rule.task_events.name
  arn  = aws_sqs_queue.task_events.arn
}

data "aws_iam_policy_document" "task_events" {
  statement {
    sid       = "EventBridgeDelivers"
    actions   = ["sqs:SendMessage"]
    resources = [local.task_events.queue_arn]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [local.task_events.rule_arn]
    }
  }
}

resource "aws_sqs_queue_policy" "task_events" {
  queue_url = aws_sqs_queue.task_events.id
  policy    = data.aws_iam_policy_document.task_events.json
}
