"""What the service is asked: bodies of requests, a module for each kind of thing."""
