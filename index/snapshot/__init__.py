"""Files that hold a gallery's vectors beside the database, so that a restart is fast."""
