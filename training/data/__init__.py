"""Where training crops lie and how they are read, chosen and ordered."""
