resource "aws_kinesis_stream" "this" {
  name             = var.name
  retention_period = var.retention_days * 24
  shard_count      = var.mode == "PROVISIONED" ? var.shards : null
  encryption_type  = "KMS"
  kms_key_id       = var.kms_key_arn

  # A stuck shard must show even when the others run.
  shard_level_metrics = ["IteratorAgeMilliseconds", "IncomingRecords", "WriteProvisionedThroughputExceeded"]

  stream_mode_details {
    stream_mode = var.mode
  }
}
