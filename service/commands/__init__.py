"""The commands of ``facegallery``, by what they are about."""
