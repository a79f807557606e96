variable "names" {
  description = "Name of each table: decisions, profiles, leases, labels."
  type        = object({ decisions = string, profiles = string, leases = string, labels = string })
}

variable "protect" {
  description = "Refuse to delete the tables."
  type        = bool
}

variable "recovery_days" {
  description = "How far back a table can be restored, in days."
  type        = number
  default     = 35
}

variable "kms_key_arn" {
  description = "Key that encrypts the tables."
  type        = string
}
