"""The threshold for a wanted FPIR at a gallery's real size, measured, kept and read back."""
