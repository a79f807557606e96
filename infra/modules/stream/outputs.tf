output "arn" {
  description = "ARN of the stream, known once it exists."
  value       = aws_kinesis_stream.this.arn
}
