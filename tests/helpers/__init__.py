"""Modules shared by tests of several folders; they hold no tests and no fixtures."""
