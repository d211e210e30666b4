"""The removal ledger: what was erased, kept where no restore of a backup can undo it."""
