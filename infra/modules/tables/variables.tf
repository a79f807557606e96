variable "names" {
  description = "Name of each table: decisions, profiles, leases, labels, erasures."
  type        = object({ decisions = string, profiles = string, leases = string, labels = string, erasures = string })
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
