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
  description = "Image of worker and flows, by digest."
  type        = string
}

variable "repository_arn" {
  description = "ARN of the image repository."
  type        = string
}

variable "work_pool" {
  description = "Prefect work pool of the flows."
  type        = string
}

variable "prefect_api_url" {
  description = "URL of the Prefect API."
  type        = string
}

variable "server_service" {
  description = "The service of our own Prefect server, which must answer before the worker starts; null without one."
  type        = string
  default     = null
}

variable "erasure_key_arn" {
  description = "ARN of the SecureString with the key that erased people are known by."
  type        = string
}

variable "prefect_credential" {
  description = "The Prefect setting that holds the credential, and the SSM parameter it comes from."
  type        = object({ setting = string, arn = string })
}

variable "settings" {
  description = "FRAUDLINE_* settings."
  type        = map(string)
}

variable "subnet_ids" {
  description = "Private subnets of the tasks."
  type        = list(string)
}

variable "security_group_id" {
  description = "Security group of the tasks."
  type        = string
}

variable "stream_arn" {
  description = "ARN of the stream."
  type        = string
}

variable "table_arns" {
  description = "ARN of each table."
  type        = object({ decisions = string, profiles = string, leases = string, labels = string, erasures = string })
}

variable "bucket_arns" {
  description = "ARN of each bucket."
  type        = object({ landing = string, quarantine = string, models = string, reports = string })
}

variable "alerts_topic_arn" {
  description = "ARN of the topic of fraud alerts."
  type        = string
}

variable "kms_key_arn" {
  description = "Key that encrypts data and logs."
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
