output "canary_alarms" {
  description = "Alarms that stop a new Lambda version and bring the old one back."
  value       = [for alarm in ["realtime-defects", "realtime-errors", "realtime-slow", "realtime-throttled"] : aws_cloudwatch_metric_alarm.this[alarm].alarm_name]
}

output "dashboard" {
  description = "Name of the dashboard."
  value       = aws_cloudwatch_dashboard.this.dashboard_name
}
