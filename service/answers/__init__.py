"""From what the packages below return to what HTTP and the command line show."""
