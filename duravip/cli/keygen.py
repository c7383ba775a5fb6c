"""`duravip keygen [FILE]`: a new cluster key."""

from __future__ import annotations

import base64
import os
import secrets

import click

from duravip.errors import DuravipError

_KEY_BYTES = 32


@click.command(
    "keygen",
    epilog="""\b
Examples:
  duravip keygen /etc/duravip/cluster.key
  duravip keygen | ssh node2 'umask 077 && cat > /etc/duravip/cluster.key'
""",
)
@click.argument("file", required=False, type=click.Path(dir_okay=False))
def command(file: str | None) -> None:
    """Make a cluster key and write it to FILE (mode 0600, never over an existing file), or print it."""
    key = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
    if file is None:
        click.echo(key)
        return
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise DuravipError(f"{file} exists already and is left as it is; give another name") from None
    except OSError as wrong:
        raise DuravipError(f"cannot write {file}: {wrong.strerror}") from wrong
    with os.fdopen(handle, "w") as out:
        out.write(key + "\n")
        out.flush()
        os.fsync(out.fileno())
    click.echo(f"Wrote a new cluster key to {file}. Copy it to every member; whoever has it can speak for them.")
