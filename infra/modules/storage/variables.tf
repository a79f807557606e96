variable "buckets" {
  description = "Name and ARN of each bucket: landing, quarantine, models, reports."
  type        = map(object({ name = string, arn = string }))

  validation {
    condition     = toset(keys(var.buckets)) == toset(["landing", "quarantine", "models", "reports"])
    error_message = "buckets must be exactly landing, quarantine, models and reports."
  }
}

variable "protect" {
  description = "Keep the buckets when they are not empty, even on destroy."
  type        = bool
}

variable "landing_days" {
  description = "Days until archived transactions and files of history expire; null keeps them for good."
  type        = number
  default     = null
}

variable "quarantine_days" {
  description = "Days until quarantined records expire."
  type        = number
}

variable "kms_key_arn" {
  description = "Key that encrypts the objects."
  type        = string
}
