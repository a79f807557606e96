output "topic_arn" {
  description = "ARN of the topic that fraud alerts are published to."
  value       = aws_sns_topic.alerts.arn
}

output "queue_url" {
  description = "Where a case tool reads the fraud alerts."
  value       = aws_sqs_queue.alerts.url
}

output "alarms_topic_arn" {
  description = "ARN of the topic for alarms of the system itself."
  value       = aws_sns_topic.alarms.arn
}

output "undelivered_queue" {
  description = "Name of the queue of alerts that no reader managed."
  value       = aws_sqs_queue.undelivered.name
}
