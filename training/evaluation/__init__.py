"""Evaluation that can be trusted: 1:1 pairs and open-set 1:N, with counts and intervals."""
