"""The lab's Event Grid: sends Key Vault events to a webhook by the rules that the real service keeps."""
