output "settings" {
  description = "The application's settings, by the names of its environment variables."
  value       = local.settings
}

output "realtime" {
  description = "The real-time Lambda: how to call it, and what delivery shifts."
  value = {
    function_name = module.realtime.function_name
    alias         = module.realtime.alias
    version       = module.realtime.version
    url           = module.realtime.url
    caller_policy = module.realtime.caller_policy_arn
    canary_alarms = module.observability.canary_alarms
  }
}

output "image" {
  description = "The image that runs; plans of pull requests keep it."
  value       = var.image
}

output "flows" {
  description = "Where flows run; delivery registers them by a task of its own."
  value = {
    cluster         = module.orchestration.cluster_arn
    task_definition = module.orchestration.register_task_definition
    subnets         = module.network.private_subnet_ids
    security_group  = module.network.tasks_security_group_id
    log_group       = module.orchestration.log_group
  }
}

output "alerts_queue_url" {
  description = "Where a case tool reads the fraud alerts."
  value       = module.alerts.queue_url
}

output "dashboard" {
  description = "Name of the CloudWatch dashboard."
  value       = module.observability.dashboard
}
