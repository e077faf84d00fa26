"""The shapes of the HTTP API's bodies and answers, for its OpenAPI document. Nothing is imported from here at start."""
