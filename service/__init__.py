"""HTTP and the command line in front of embedding and index."""
