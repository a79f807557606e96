variable "prefix" {
  description = "Name and environment of this deployment."
  type        = string
}

variable "region" {
  description = "AWS region."
  type        = string
}

variable "cidr" {
  description = "Address range of the VPC."
  type        = string
}

variable "zones" {
  description = "Availability zones of the subnets. Named, not looked up: a new zone of AWS must not move them."
  type        = list(string)
}

variable "nat_per_zone" {
  description = "One NAT gateway in each zone instead of one for all."
  type        = bool
}
