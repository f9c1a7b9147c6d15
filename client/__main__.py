"""`python -m client` is the same command as `python client/client.py`."""

from client.client import main
from hone.errors import run_command

if __name__ == "__main__":
    run_command(main)
