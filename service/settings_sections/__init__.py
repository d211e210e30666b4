"""The sections that `service.settings` is put together of, each with what it checks."""
