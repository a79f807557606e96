variable "topic" {
  description = "Name and ARN of the topic that fraud alerts are published to."
  type        = object({ name = string, arn = string })
}

variable "queue" {
  description = "Name and ARN of the queue behind it."
  type        = object({ name = string, arn = string })
}

variable "alarms_topic" {
  description = "Name and ARN of the topic for alarms of the system itself."
  type        = object({ name = string, arn = string })
}

variable "alarm_emails" {
  description = "Addresses that hear the alarms."
  type        = list(string)
}

variable "kms_key_arn" {
  description = "Key that encrypts topics and queues."
  type        = string
}
