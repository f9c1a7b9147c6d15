"""What every package uses: errors, settings, files that are written whole."""
