output "names" {
  description = "Name of each table."
  value       = { for table, resource in aws_dynamodb_table.this : table => resource.name }
}
