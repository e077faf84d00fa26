"""The lab's Azure Functions host: runs a Python v2 function app on loopback as the real host would. Never deployed."""
