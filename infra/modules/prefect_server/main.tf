# The Prefect server for one team: reachable only from this deployment's tasks, its state in PostgreSQL.
locals {
  port = 4200
  log = {
    logDriver = "awslogs"
    options = {
      awslogs-group         = aws_cloudwatch_log_group.this.name
      awslogs-region        = var.region
      awslogs-stream-prefix = "server"
    }
  }
}

resource "aws_service_discovery_private_dns_namespace" "this" {
  name        = "${var.prefix}.internal"
  description = "Where tasks find the Prefect server."
  vpc         = var.vpc_id
}

resource "aws_service_discovery_service" "prefect" {
  name = "prefect"

  dns_config {
    namespace_id   = aws_service_discovery_private_dns_namespace.this.id
    routing_policy = "MULTIVALUE"

    dns_records {
      type = "A"
      ttl  = 10
    }
  }
}

resource "aws_security_group" "server" {
  name        = "${var.prefix}-prefect-server"
  description = "The Prefect server: called by tasks only."
  vpc_id      = var.vpc_id

  tags = { Name = "${var.prefix}-prefect-server" }
}

resource "aws_vpc_security_group_ingress_rule" "from_tasks" {
  security_group_id            = aws_security_group.server.id
  description                  = "Worker and flows report to the API."
  referenced_security_group_id = var.tasks_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

resource "aws_vpc_security_group_egress_rule" "tasks_to_server" {
  security_group_id            = var.tasks_security_group_id
  description                  = "Worker and flows report to the API."
  referenced_security_group_id = aws_security_group.server.id
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

resource "aws_vpc_security_group_egress_rule" "server_to_aws" {
  security_group_id = aws_security_group.server.id
  description       = "Image registry, credentials, logs, webhooks of automations."
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "server_to_database" {
  security_group_id            = aws_security_group.server.id
  description                  = "The server keeps its state in PostgreSQL."
  referenced_security_group_id = aws_security_group.database.id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/ecs/${var.prefix}-prefect-server"
  retention_in_days = var.log_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_ecs_task_definition" "this" {
  family                   = "${var.prefix}-prefect-server"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 512
  memory                   = 2048
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.server.arn

  runtime_platform {
    cpu_architecture        = "X86_64"
    operating_system_family = "LINUX"
  }

  container_definitions = jsonencode([{
    name      = "server"
    image     = var.image
    essential = true
    # 0.0.0.0 inside a container of its own network interface; the security group decides who reaches it.
    command = ["prefect", "server", "start", "--host", "0.0.0.0", "--port", tostring(local.port)]
    environment = [for key, value in {
      PREFECT_SERVER_ANALYTICS_ENABLED = "false"
      # The browser is at the other end of a tunnel, and the running user may write only to /tmp and its home.
      PREFECT_SERVER_UI_API_URL          = "http://127.0.0.1:${local.port}/api"
      PREFECT_SERVER_UI_STATIC_DIRECTORY = "/tmp/prefect-ui"
      # One write to the database for many task runs, not one each.
      PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE      = "100"
      PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE = "100"
      PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL  = "1"
      PREFECT_SERVER_DATABASE_DRIVER                            = "postgresql+asyncpg"
      PREFECT_SERVER_DATABASE_HOST                              = aws_db_instance.this.address
      PREFECT_SERVER_DATABASE_PORT                              = "5432"
      PREFECT_SERVER_DATABASE_NAME                              = aws_db_instance.this.db_name
      PREFECT_SERVER_DATABASE_USER                              = aws_db_instance.this.username
    } : { name = key, value = value }]
    secrets = [
      { name = "PREFECT_SERVER_DATABASE_PASSWORD", valueFrom = "${aws_db_instance.this.master_user_secret[0].secret_arn}:password::" },
      { name = "PREFECT_SERVER_API_AUTH_STRING", valueFrom = var.auth_string_arn },
    ]
    logConfiguration = local.log
    # `ready` asks the database: once RDS has rotated the password, the task fails this check and its successor starts
    # with the new one.
    healthCheck = {
      command     = ["CMD", "python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:${local.port}/api/ready', timeout=5)"]
      interval    = 30
      timeout     = 10
      retries     = 3
      startPeriod = 180
    }
    }, {
    # What the server's automations tell goes to the alarms topic: both share one loopback interface and one role.
    name             = "notifier"
    image            = var.image
    essential        = true
    command          = ["fraudline", "notifier"]
    environment      = [{ name = "FRAUDLINE_ALARMS_TOPIC_ARN", value = var.alarms_topic_arn }]
    logConfiguration = local.log
  }])
}

resource "aws_ecs_service" "this" {
  name            = "prefect-server"
  cluster         = var.cluster_arn
  task_definition = aws_ecs_task_definition.this.arn
  desired_count   = 1
  launch_type     = "FARGATE"
  propagate_tags  = "SERVICE"

  # Its worker starts when it answers.
  wait_for_steady_state = true

  # `aws ecs execute-command` and port forwarding: the way people reach the UI (docs/deployment-guide.md).
  enable_execute_command = true

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets         = var.subnet_ids
    security_groups = [aws_security_group.server.id]
  }

  service_registries {
    registry_arn = aws_service_discovery_service.prefect.arn
  }

  depends_on = [
    aws_iam_role_policy.execution,
    aws_iam_role_policy.password,
    aws_vpc_security_group_egress_rule.server_to_aws,
    aws_vpc_security_group_egress_rule.server_to_database,
    aws_vpc_security_group_ingress_rule.from_server,
  ]
}
