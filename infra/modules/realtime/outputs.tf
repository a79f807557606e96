output "function_name" {
  description = "Name of the function."
  value       = aws_lambda_function.this.function_name
}

output "version" {
  description = "The newest published version; delivery shifts the alias to it."
  value       = aws_lambda_function.this.version
}

output "alias" {
  description = "The alias everybody calls."
  value       = aws_lambda_alias.live.name
}

output "url" {
  description = "Function URL (requests are signed with IAM credentials)."
  value       = aws_lambda_function_url.this.function_url
}

output "caller_policy_arn" {
  description = "Policy to attach to the role that asks for scores."
  value       = aws_iam_policy.caller.arn
}

output "failed_queue" {
  description = "Name of the queue of events the function gave up on."
  value       = aws_sqs_queue.failed.name
}

output "log_group" {
  description = "Log group of the function."
  value       = aws_cloudwatch_log_group.this.name
}
