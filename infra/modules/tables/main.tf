locals {
  # Keys, indexes and types are fraudline/adapters/tables/keys.py's (tests/infra compares the two). `expires_at` is set only
  # by deployments that want it.
  tables = {
    decisions = { hash_key = "transaction_id", range_key = "origin", ttl = true }
    profiles  = { hash_key = "entity", range_key = null, ttl = false }
    # A lease row holds a position: no TTL may forget it.
    leases = { hash_key = "consumer", range_key = "shard", ttl = false }
    labels = { hash_key = "transaction_id", range_key = null, ttl = false }
    # No TTL either: a tombstone that is gone lets old files bring an erased id back.
    erasures = { hash_key = "person", range_key = null, ttl = false }
  }

  # The two questions people ask of decisions: what of one user, and what is to be reviewed today, dearest first.
  indexes = {
    decisions = {
      by_entity    = { hash_key = "entity", range_key = "event_time" }
      by_alert_day = { hash_key = "alert_day", range_key = "expected_loss" }
    }
  }
  numbers = ["expected_loss"]

  attributes = {
    for table, keys in local.tables : table => toset(compact(concat(
      [keys.hash_key, keys.range_key],
      flatten([for index in values(lookup(local.indexes, table, {})) : [index.hash_key, index.range_key]]),
    )))
  }
}

resource "aws_dynamodb_table" "this" {
  for_each = local.tables

  name                        = var.names[each.key]
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = each.value.hash_key
  range_key                   = each.value.range_key
  deletion_protection_enabled = var.protect

  dynamic "attribute" {
    for_each = local.attributes[each.key]
    content {
      name = attribute.value
      type = contains(local.numbers, attribute.value) ? "N" : "S"
    }
  }

  dynamic "global_secondary_index" {
    for_each = lookup(local.indexes, each.key, {})
    content {
      name            = global_secondary_index.key
      projection_type = "ALL"

      key_schema {
        attribute_name = global_secondary_index.value.hash_key
        key_type       = "HASH"
      }
      key_schema {
        attribute_name = global_secondary_index.value.range_key
        key_type       = "RANGE"
      }
    }
  }

  dynamic "ttl" {
    for_each = each.value.ttl ? ["expires_at"] : []
    content {
      enabled        = true
      attribute_name = ttl.value
    }
  }

  point_in_time_recovery {
    enabled                 = true
    recovery_period_in_days = var.recovery_days
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }
}
