output "backend" {
  description = "Settings of the state's home, for `terraform init -backend-config`."
  value       = { bucket = local.state.name, region = var.region }
}

output "image_repositories" {
  description = "Where delivery pushes images; GitHub variable IMAGE_REPOSITORY of each environment."
  value       = { for environment, repository in aws_ecr_repository.images : environment => repository.repository_url }
}

output "roles" {
  description = "Roles that GitHub assumes; GitHub variables AWS_PLAN_ROLE_dev and AWS_PLAN_ROLE_prod, and AWS_DEPLOY_ROLE of each environment."
  value       = { for name, role in aws_iam_role.github : name => role.arn }
}
