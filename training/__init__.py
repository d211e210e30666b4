"""Learns 512-d unit embeddings from identity folders and exports model directories."""
