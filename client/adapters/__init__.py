"""The parts of the local adapter manager, and its commands."""
