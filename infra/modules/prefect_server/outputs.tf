output "service" {
  description = "ARN of the server's service, known once it answers."
  value       = aws_ecs_service.this.id
}

output "database" {
  description = "Identifier of the database."
  value       = aws_db_instance.this.identifier
}
