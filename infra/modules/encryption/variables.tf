variable "prefix" {
  description = "Name and environment of this deployment."
  type        = string
}
