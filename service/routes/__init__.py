"""The routes of the service, thin: key, limits, bytes, one call, an answer."""
