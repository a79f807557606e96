variable "name" {
  description = "Prefix of every resource's name; the same as in the main configuration."
  type        = string
  default     = "fraudline"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,15}$", var.name))
    error_message = "name must be 2 to 16 lower-case letters, digits or hyphens, for it becomes part of bucket names."
  }
}

variable "region" {
  description = "AWS region of everything."
  type        = string
}

variable "environments" {
  description = "Deployments this account will hold."
  type        = set(string)
  default     = ["dev", "prod"]

  validation {
    condition     = length(var.environments) > 0 && length(setsubtract(var.environments, ["dev", "prod"])) == 0
    error_message = "environments must be dev, prod or both."
  }
}

variable "repository" {
  description = "GitHub repository that may deliver, as owner/name."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.repository))
    error_message = "repository must be owner/name."
  }
}
