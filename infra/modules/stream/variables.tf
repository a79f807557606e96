variable "name" {
  description = "Name of the stream."
  type        = string
}

variable "mode" {
  description = "ON_DEMAND or PROVISIONED."
  type        = string
}

variable "shards" {
  description = "Number of shards when provisioned."
  type        = number
}

variable "retention_days" {
  description = "How long records are kept, in days."
  type        = number
}

variable "kms_key_arn" {
  description = "Key that encrypts the records."
  type        = string
}
