variable "function_name" {
  description = "Name of the function."
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

variable "package" {
  description = "Zip made by `fraudline package-lambda`."
  type        = string
}

variable "runtime" {
  description = "Python the zip was made for."
  type        = string
}

variable "architecture" {
  description = "Processor the zip was made for."
  type        = string
}

variable "memory_mib" {
  description = "Memory in MiB. CPU grows with it, so less memory also means slower answers."
  type        = number
  default     = 512
}

variable "reserved_concurrency" {
  description = "Ceiling of simultaneous answers."
  type        = number
}

variable "reads_stream" {
  description = "Whether it also scores the stream as a second opinion."
  type        = bool
}

variable "settings" {
  description = "FRAUDLINE_* settings."
  type        = map(string)
}

variable "stream_arn" {
  description = "ARN of the stream, made from its name: what the role may read."
  type        = string
}

variable "event_source_arn" {
  description = "ARN of the stream, known once it exists: what the event source waits for."
  type        = string
}

variable "table_arns" {
  description = "ARNs of the tables it uses."
  type        = object({ decisions = string, profiles = string })
}

variable "models_bucket_arn" {
  description = "ARN of the bucket that holds the model registry."
  type        = string
}

variable "kms_key_arn" {
  description = "Key that encrypts the data, the settings and the log."
  type        = string
}

variable "permissions_boundary_arn" {
  description = "Permissions boundary of the role: delivery may only make roles that carry it."
  type        = string
}

variable "log_days" {
  description = "Days until log lines expire."
  type        = number
  default     = 90
}
