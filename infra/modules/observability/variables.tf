variable "prefix" {
  description = "Name and environment of this deployment."
  type        = string
}

variable "environment" {
  description = "Environment; its tag selects the costs of the budget, its dimension our own metrics."
  type        = string
}

variable "region" {
  description = "AWS region."
  type        = string
}

variable "contract" {
  description = "Contract whose champion is watched."
  type        = string
}

variable "stream_name" {
  description = "Stream that is watched."
  type        = string
}

variable "table_names" {
  description = "Tables that are watched."
  type        = list(string)
}

variable "leases_table" {
  description = "Table that every drain of the stream writes to."
  type        = string
}

variable "function_name" {
  description = "Function that is watched."
  type        = string
}

variable "function_alias" {
  description = "Alias that is watched."
  type        = string
}

variable "failed_queue" {
  description = "Queue of events the function gave up on."
  type        = string
}

variable "undelivered_queue" {
  description = "Queue of fraud alerts nobody could take."
  type        = string
}

variable "quarantine_bucket" {
  description = "Bucket of rejected records."
  type        = string
}

variable "quarantine_filter" {
  description = "Filter id of that bucket's request metrics."
  type        = string
}

variable "cluster_name" {
  description = "Cluster of the worker."
  type        = string
}

variable "worker_service" {
  description = "Service of the worker."
  type        = string
}

variable "database" {
  description = "Database of our own Prefect server; null without one."
  type        = string
  default     = null
}

variable "alarms_topic_arn" {
  description = "Topic that alarms and the budget go to."
  type        = string
}

variable "monthly_budget_usd" {
  description = "Monthly budget in US dollars."
  type        = number
}

variable "champion_max_age_days" {
  description = "Days after which an unchanged champion is an alarm."
  type        = number
}

variable "p99_milliseconds" {
  description = "What a shop waits at checkout, in milliseconds."
  type        = number
  default     = 500
}

variable "quarantine_per_hour" {
  description = "Batches with rejects per hour that are still normal."
  type        = number
  default     = 50
}
