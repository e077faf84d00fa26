"""What HTTP triggers share: declarations of endpoints, answers, queries, the OpenAPI document."""
