"""`duravip keygen [FILE]`: a new cluster key, and the three steps of changing one."""

from __future__ import annotations

import click

from duravip.errors import UsageError


@click.command(
    "keygen",
    epilog="""\b
Examples:
  duravip keygen /etc/duravip/cluster.key
  duravip keygen | ssh node2 'umask 077 && cat > /etc/duravip/cluster.key'
  duravip keygen --add /etc/duravip/cluster.key
  duravip keygen --switch /etc/duravip/cluster.key
  duravip keygen --remove /etc/duravip/cluster.key
""",
)
@click.option("--add", is_flag=True, help="Add a new key to FILE: it opens, and does not seal yet.")
@click.option("--switch", is_flag=True, help="Let the key that was added last seal from now on.")
@click.option("--remove", is_flag=True, help="Remove all keys but the one that seals.")
@click.argument("file", required=False, type=click.Path(dir_okay=False))
def command(*, add: bool, switch: bool, remove: bool, file: str | None) -> None:
    """Make a cluster key and write it to FILE (mode 0600, never over an existing file), or print it.

    The key of a running cluster is changed in three steps, without an interruption: --add, --switch, --remove. After
    each of them copy FILE to every member and let every daemon read it (`duravip reload`) before the next one. A
    daemon refuses a step that the other members cannot have followed.
    """
    from duravip.wire import key_file
    from duravip.wire.keyring import Keyring

    asked = [step for step, is_asked in (("add", add), ("switch", switch), ("remove", remove)) if is_asked]
    if len(asked) > 1:
        raise UsageError(f"--{asked[0]} and --{asked[1]} are two steps: every member has to read FILE in between")
    step = asked[0] if asked else None
    if step is not None and file is None:
        raise UsageError(f"--{step} changes a key file: name it")
    if file is None:
        click.echo(key_file.new_key())
        return
    if step is None:
        (made,) = Keyring(keys=(key_file.write_new(file),)).ids()
        click.echo(
            f"Wrote a new cluster key ({made}) to {file}. Copy it to every member; whoever has it can speak for them."
        )
        return
    steps = {"add": key_file.add, "switch": key_file.switch, "remove": key_file.remove_others}
    first, *others = Keyring(keys=steps[step](file)).ids()
    opens = f"; {', '.join(others)} can be opened too" if others else ", and nothing else is opened"
    click.echo(
        f"In {file}, {first} seals{opens}. "
        "Copy it to every member, and say `duravip reload` on each, before the next step."
    )
