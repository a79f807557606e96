output "names" {
  description = "Name of each bucket."
  value       = { for bucket, resource in aws_s3_bucket.this : bucket => resource.id }
}

output "quarantine_metric_filter" {
  description = "Filter id of the quarantine bucket's request metrics."
  value       = aws_s3_bucket_metric.quarantine.name
}
