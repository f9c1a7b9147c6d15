"""The ground every room stands on: errors, settings, files that are written whole."""
