output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.this.id
}

output "private_subnet_ids" {
  description = "Subnets that tasks and the database run in."
  value       = [for subnet in aws_subnet.private : subnet.id]

  # A task that starts before there is a way out cannot pull its image.
  depends_on = [aws_route.out, aws_route.internet, aws_route_table_association.private, aws_route_table_association.public]
}

output "tasks_security_group_id" {
  description = "Security group of all tasks."
  value       = aws_security_group.tasks.id
}
