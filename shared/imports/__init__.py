"""One import engine for every source: read, plan, apply, in parts that can be killed and repeated."""
