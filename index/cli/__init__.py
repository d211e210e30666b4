"""``facegallery-index``: keeps, moves and checks galleries."""
