"""The truth on disk: a data folder with a SQLite database; nothing else imports SQLAlchemy."""
