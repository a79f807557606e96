variable "name" {
  description = "Prefix of every resource's name."
  type        = string
  default     = "fraudline"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,15}$", var.name))
    error_message = "name must be 2 to 16 lower-case letters, digits or hyphens, for it becomes part of bucket names."
  }
}

variable "environment" {
  description = "Which deployment this is; the second part of every name."
  type        = string

  validation {
    condition     = contains(["dev", "prod"], var.environment)
    error_message = "environment must be dev or prod."
  }
}

variable "region" {
  description = "AWS region of everything."
  type        = string
}

variable "contract" {
  description = "The contract of this deployment: the name of a file in data/contracts, which the image carries."
  type        = string
  default     = "ecommerce"

  validation {
    condition     = can(regex("^[a-z][a-z0-9_]{0,40}$", var.contract))
    error_message = "contract must be a name, not a file: put yours into data/contracts as NAME.toml and name it NAME."
  }
}

variable "decisions_keep_days" {
  description = "How long decisions are kept, in days: also how far back the stream tells a second copy from a new transaction."
  type        = number
  default     = 365

  validation {
    condition     = var.decisions_keep_days >= 30
    error_message = "decisions_keep_days must be at least 30: labels, reviews and duplicates need them that long."
  }
}

variable "image" {
  description = "Image of the Prefect worker, its flows and the server, by digest (REPOSITORY@sha256:...)."
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "image must name a digest (REPOSITORY@sha256:...): a tag may point to other bytes tomorrow."
  }
}

variable "lambda_package" {
  description = "The zip that `fraudline package-lambda --out FILE.zip` made."
  type        = string
}

variable "lambda_runtime" {
  description = "The Python that the zip was made for (`package-lambda --python`)."
  type        = string
  default     = "python3.11"

  validation {
    condition     = contains(["python3.11", "python3.12", "python3.13"], var.lambda_runtime)
    error_message = "lambda_runtime must be python3.11, python3.12 or python3.13, as package-lambda makes them."
  }
}

variable "lambda_architecture" {
  description = "The processor that the zip was made for (`package-lambda --arch`)."
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["x86_64", "arm64"], var.lambda_architecture)
    error_message = "lambda_architecture must be x86_64 or arm64."
  }
}

variable "lambda_reserved_concurrency" {
  description = "Ceiling of simultaneous answers: protects the account's other functions from a burst, and the tables from the function. -1, in dev only, reserves none: a new account may have too few to reserve any."
  type        = number

  validation {
    condition     = var.lambda_reserved_concurrency >= 1 || (var.lambda_reserved_concurrency == -1 && var.environment == "dev")
    error_message = "lambda_reserved_concurrency must be at least 1, or -1 in dev for none; 0 would switch the function off."
  }
}

variable "lambda_reads_stream" {
  description = "Whether the Lambda also scores the stream as a read-only second opinion (the live skew monitor)."
  type        = bool
  default     = false
}

variable "stream_mode" {
  description = "ON_DEMAND follows the traffic; PROVISIONED is cheaper for a steady one."
  type        = string
  default     = "ON_DEMAND"

  validation {
    condition     = contains(["ON_DEMAND", "PROVISIONED"], var.stream_mode)
    error_message = "stream_mode must be ON_DEMAND or PROVISIONED."
  }
}

variable "stream_shards" {
  description = "Number of shards when the stream is provisioned (1 MiB/s or 1,000 records/s each)."
  type        = number
  default     = 1

  validation {
    condition     = var.stream_shards >= 1 && floor(var.stream_shards) == var.stream_shards
    error_message = "stream_shards must be a whole number of at least 1."
  }
}

variable "stream_retention_days" {
  description = "How long the stream keeps records: the time there is to repair a consumer before anything is lost."
  type        = number
  default     = 7

  validation {
    condition     = var.stream_retention_days >= 7 && var.stream_retention_days <= 365
    error_message = "stream_retention_days must be between 7 and 365: fewer than 7 does not outlast a long weekend and its repair."
  }
}

variable "protect_data" {
  description = "Deletion protection on tables and the database, and buckets that cannot be emptied by a destroy."
  type        = bool
}

variable "landing_days" {
  description = "Days until the history in the landing bucket expires; null, the default, keeps it for good. Profiles count a person's whole past: once some of it is gone, what retrain, backfill and monitor compute is no longer what the stream scores with (training-serving skew), a retrain as of an earlier day is another one, and a new generation of profiles is refused. Set it only where the law demands it; fraudline forget removes one person without any of this."
  type        = number
  default     = null

  validation {
    condition     = var.landing_days == null ? true : var.landing_days >= 365
    error_message = "landing_days must be at least 365, or null: features and retrains rest on history."
  }
}

variable "quarantine_days" {
  description = "How long rejected records wait to be redriven."
  type        = number
  default     = 90

  validation {
    condition     = var.quarantine_days >= 7
    error_message = "quarantine_days must be at least 7: somebody has to find and redrive them."
  }
}

variable "vpc_cidr" {
  description = "Address range of the VPC the flows run in; a /16 to /20."
  type        = string
  default     = "10.80.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) && try(tonumber(split("/", var.vpc_cidr)[1]) >= 16 && tonumber(split("/", var.vpc_cidr)[1]) <= 20, false)
    error_message = "vpc_cidr must be an IPv4 range from /16 to /20, for example 10.80.0.0/16."
  }
}

variable "zones" {
  description = "The two availability zones of the VPC. Named, not looked up: a new zone of AWS must not move subnets."
  type        = list(string)

  validation {
    condition     = length(distinct(var.zones)) == 2 && alltrue([for zone in var.zones : startswith(zone, var.region)])
    error_message = "zones must name two availability zones of the region, for example [\"eu-central-1a\", \"eu-central-1b\"]."
  }
}

variable "nat_per_zone" {
  description = "One NAT gateway in each zone instead of one for all: survives the loss of a zone, costs as much again."
  type        = bool
  default     = false
}

variable "prefect_server" {
  description = "Run the Prefect server here, on Fargate and PostgreSQL; otherwise flows report to prefect_api_url."
  type        = bool
}

variable "prefect_api_url" {
  description = "URL of the Prefect API when this deployment runs no server (Prefect Cloud, or a server elsewhere)."
  type        = string
  default     = null

  validation {
    condition     = var.prefect_server != (var.prefect_api_url != null)
    error_message = "Give prefect_api_url exactly when prefect_server is false."
  }
}

variable "work_pool" {
  description = "Prefect work pool of the flows; the name in prefect.yaml."
  type        = string
  default     = "fraudline"
}

variable "alarm_emails" {
  description = "Who hears of alarms and of the budget; every address confirms its subscription once."
  type        = list(string)

  validation {
    condition     = length(var.alarm_emails) > 0 && alltrue([for a in var.alarm_emails : can(regex("^[^@ ]+@[^@ ]+$", a))])
    error_message = "alarm_emails must hold at least one e-mail address: an alarm nobody hears is none."
  }
}

variable "monthly_budget_usd" {
  description = "Monthly budget in US dollars, above the bill that is expected: mail goes out when 80% of it is spent and when the forecast exceeds it."
  type        = number

  validation {
    condition     = var.monthly_budget_usd > 0
    error_message = "monthly_budget_usd must be positive."
  }
}

variable "champion_max_age_days" {
  description = "Alarm when the champion has not changed for this long: retraining has stopped or keeps being rejected."
  type        = number
  default     = 35
}
