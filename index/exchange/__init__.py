"""The open format: a gallery as a Parquet file that other tools can read and write."""
