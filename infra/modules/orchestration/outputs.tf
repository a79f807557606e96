output "cluster_arn" {
  description = "ARN of the cluster."
  value       = aws_ecs_cluster.this.arn
}

output "cluster_name" {
  description = "Name of the cluster."
  value       = aws_ecs_cluster.this.name
}

output "register_task_definition" {
  description = "Task definition that delivery runs register_flows.py in."
  value       = aws_ecs_task_definition.register.arn
}

output "worker_service" {
  description = "Name of the worker's service."
  value       = aws_ecs_service.worker.name
}

output "log_group" {
  description = "Log group of worker and flows."
  value       = aws_cloudwatch_log_group.this.name
}
