"""The sinks of AWS's services: DynamoDB, Kinesis, S3, SQS, Timestream."""
