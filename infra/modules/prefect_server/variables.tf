variable "prefix" {
  description = "Name and environment of this deployment."
  type        = string
}

variable "region" {
  description = "AWS region."
  type        = string
}

variable "account_id" {
  description = "AWS account."
  type        = string
}

variable "partition" {
  description = "AWS partition (aws, aws-cn, ...)."
  type        = string
}

variable "image" {
  description = "Image of the server, by digest."
  type        = string
}

variable "repository_arn" {
  description = "ARN of the image repository."
  type        = string
}

variable "cluster_arn" {
  description = "Cluster that the server runs in."
  type        = string
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets of server and database."
  type        = list(string)
}

variable "tasks_security_group_id" {
  description = "Security group of worker and flows, the only callers."
  type        = string
}

variable "auth_string_arn" {
  description = "SSM parameter (SecureString) with `user:password` of the API."
  type        = string
}

variable "alarms_topic_arn" {
  description = "ARN of the topic that people hear alarms by: automations publish to it."
  type        = string
}

variable "protect" {
  description = "Keep the database on destroy, and run a standby of it in a second zone."
  type        = bool
}

variable "kms_key_arn" {
  description = "Key that encrypts the database and the log."
  type        = string
}

variable "permissions_boundary_arn" {
  description = "Permissions boundary of every role: delivery may only make roles that carry it."
  type        = string
}

variable "log_days" {
  description = "Days until log lines expire."
  type        = number
  default     = 90
}
