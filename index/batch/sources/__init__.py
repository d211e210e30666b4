"""Where photos of a batch come from: folders, manifests, tar shards."""
