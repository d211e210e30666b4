"""Many photos at once: a gallery built of a folder, and a folder identified against a gallery."""
