locals {
  database      = "${var.prefix}-prefect"
  database_logs = ["postgresql", "upgrade"]
}

resource "aws_db_subnet_group" "this" {
  name       = "${var.prefix}-prefect"
  subnet_ids = var.subnet_ids
}

resource "aws_security_group" "database" {
  name        = "${var.prefix}-prefect-database"
  description = "PostgreSQL of the Prefect server: called by the server only."
  vpc_id      = var.vpc_id

  tags = { Name = "${var.prefix}-prefect-database" }
}

resource "aws_vpc_security_group_ingress_rule" "from_server" {
  security_group_id            = aws_security_group.database.id
  description                  = "The Prefect server."
  referenced_security_group_id = aws_security_group.server.id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_db_parameter_group" "this" {
  name   = "${var.prefix}-prefect"
  family = "postgres17"

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }
}

# RDS would make these itself, unencrypted and for good.
resource "aws_cloudwatch_log_group" "database" {
  for_each = toset(local.database_logs)

  name              = "/aws/rds/instance/${local.database}/${each.value}"
  retention_in_days = var.log_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_db_instance" "this" {
  identifier                      = local.database
  engine                          = "postgres"
  engine_version                  = "17"
  instance_class                  = "db.t4g.micro"
  parameter_group_name            = aws_db_parameter_group.this.name
  db_name                         = "prefect"
  username                        = "prefect"
  manage_master_user_password     = true # in Secrets Manager, rotated by RDS: no password in the state
  allocated_storage               = 20
  max_allocated_storage           = 100
  storage_type                    = "gp3"
  storage_encrypted               = true
  kms_key_id                      = var.kms_key_arn
  db_subnet_group_name            = aws_db_subnet_group.this.name
  vpc_security_group_ids          = [aws_security_group.database.id]
  publicly_accessible             = false
  multi_az                        = var.protect
  backup_retention_period         = 7
  copy_tags_to_snapshot           = true
  auto_minor_version_upgrade      = true
  deletion_protection             = var.protect
  skip_final_snapshot             = !var.protect
  final_snapshot_identifier       = var.protect ? "${var.prefix}-prefect-final" : null
  enabled_cloudwatch_logs_exports = local.database_logs

  depends_on = [aws_cloudwatch_log_group.database]
}
