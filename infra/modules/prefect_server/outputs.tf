output "service" {
  description = "Name of the server's service."
  value       = aws_ecs_service.this.name
}

output "database" {
  description = "Identifier of the database."
  value       = aws_db_instance.this.identifier
}
