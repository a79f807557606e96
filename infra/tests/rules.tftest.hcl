# The rules a deployment must keep, checked on a plan with a mocked provider: no account, no credentials.
mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { region = "eu-central-1" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
}

variables {
  environment                 = "prod"
  region                      = "eu-central-1"
  zones                       = ["eu-central-1a", "eu-central-1b"]
  image                       = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/fraudline@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  lambda_package              = "tests/package.zip"
  lambda_reserved_concurrency = 10
  protect_data                = true
  prefect_server              = true
  monthly_budget_usd          = 100
  alarm_emails                = ["someone@example.com"]
}

run "settings_are_fed_under_the_names_the_application_reads" {
  command = plan

  assert {
    condition = alltrue([
      output.settings["FRAUDLINE_STREAM"] == "fraudline-prod-transactions",
      output.settings["FRAUDLINE_DECISIONS_TABLE"] == "fraudline-prod-decisions",
      output.settings["FRAUDLINE_PROFILES_TABLE"] == "fraudline-prod-profiles",
      output.settings["FRAUDLINE_LEASES_TABLE"] == "fraudline-prod-leases",
      output.settings["FRAUDLINE_LABELS_TABLE"] == "fraudline-prod-labels",
      output.settings["FRAUDLINE_LANDING_BUCKET"] == "fraudline-prod-landing-111122223333",
      output.settings["FRAUDLINE_ALERTS_TOPIC_ARN"] == "arn:aws:sns:eu-central-1:111122223333:fraudline-prod-alerts",
    ])
    error_message = "The settings do not name the resources of this deployment."
  }
}

run "a_server_of_our_own_runs_here" {
  command = plan

  assert {
    condition     = length(module.prefect_server) == 1
    error_message = "prefect_server = true must run a server."
  }
}

run "prefect_cloud_needs_no_server_here" {
  command = plan

  variables {
    prefect_server  = false
    prefect_api_url = "https://api.prefect.cloud/api/accounts/a/workspaces/w"
  }

  assert {
    condition     = length(module.prefect_server) == 0
    error_message = "prefect_server = false must not run a server."
  }
}

run "a_stream_that_forgets_within_a_week_is_refused" {
  command = plan

  variables {
    stream_retention_days = 1
  }

  expect_failures = [var.stream_retention_days]
}

run "an_image_by_tag_is_refused" {
  command = plan

  variables {
    image = "fraudline:latest"
  }

  expect_failures = [var.image]
}

run "an_unknown_environment_is_refused" {
  command = plan

  variables {
    environment = "staging"
  }

  expect_failures = [var.environment]
}

run "zones_of_another_region_are_refused" {
  command = plan

  variables {
    zones = ["us-east-1a", "us-east-1b"]
  }

  expect_failures = [var.zones]
}

run "alarms_without_a_listener_are_refused" {
  command = plan

  variables {
    alarm_emails = []
  }

  expect_failures = [var.alarm_emails]
}

run "a_server_and_another_api_at_once_are_refused" {
  command = plan

  variables {
    prefect_server  = true
    prefect_api_url = "https://api.prefect.cloud/api"
  }

  expect_failures = [var.prefect_api_url]
}

run "dev_may_reserve_no_concurrency" {
  command = plan

  variables {
    environment                 = "dev"
    lambda_reserved_concurrency = -1
  }
}

run "prod_must_reserve_concurrency" {
  command = plan

  variables {
    lambda_reserved_concurrency = -1
  }

  expect_failures = [var.lambda_reserved_concurrency]
}

run "a_function_switched_off_by_accident_is_refused" {
  command = plan

  variables {
    lambda_reserved_concurrency = 0
  }

  expect_failures = [var.lambda_reserved_concurrency]
}
