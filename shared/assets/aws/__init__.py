"""EC2 and STS: the client, its parser, and what their errors mean."""
