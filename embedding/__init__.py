"""From the bytes of a photo to faces and their 512-d unit embeddings; no torch, SQL or HTTP."""
