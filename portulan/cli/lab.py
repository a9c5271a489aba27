"""`portulan lab`: a safe network of our own to practise and test on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from portulan.lab import Lab

DEFAULT = "harbour"
NAME_HELP = "What to call the lab, so that several can be up; the scenario's name by default."
LOCAL_HELP = "No namespaces: real servers on 127.0.0.0/8, as without rights."


@click.group("lab")
def lab() -> None:
    """Build a small internet of our own to practise and test on.

    Hosts are network namespaces, with real services, firewalls and loss between them.
    Nothing of it touches this machine's own network. Without any right it runs in a user
    namespace, and where that is forbidden as servers on 127.0.0.0/8.
    """


@lab.command("up")
@click.argument("scenario", default=DEFAULT)
@click.option("--name", default="", help=NAME_HELP)
@click.option("--local", is_flag=True, help=LOCAL_HELP)
def up(scenario: str, name: str, *, local: bool) -> None:
    """Build a lab and leave it up: SCENARIO is a bundled name or a .toml file."""
    from portulan.lab import Lab
    from portulan.lab.lab import ending_on_signals

    with ending_on_signals():
        made = Lab.up(scenario, name=name, local=local, keep=True)
    _announce(made)
    click.echo(f"portulan lab run {made.name} -- CMD    runs CMD inside", err=True)
    click.echo(f"portulan lab down {made.name}          takes it down", err=True)


class AfterDashes(click.RichCommand):
    """A command that keeps what stands after `--` apart from its own words, in `ctx.meta`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Cut the words at the first `--`, which click would make disappear."""
        cut = args.index("--") if "--" in args else len(args)
        ctx.meta["portulan.command"] = args[cut + 1 :]
        return super().parse_args(ctx, args[:cut])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Show the command's place in the usage line."""
        return [*super().collect_usage_pieces(ctx), "--", "CMD..."]


@lab.command("run", cls=AfterDashes)
@click.argument("scenario", default="")
@click.option("--name", default="", help=NAME_HELP)
@click.option("--host", default="", help="Inside which host; the scanner by default.")
@click.option("--local", is_flag=True, help=LOCAL_HELP)
@click.pass_context
def run(ctx: click.Context, scenario: str, name: str, host: str, *, local: bool) -> None:
    """Run CMD inside a lab; if the lab is not up, build it before and take it down after.

    The command gets PORTULAN_LAB_TARGETS and PORTULAN_LAB_PORTS; its exit code is ours.
    """
    from portulan.errors import UsageError
    from portulan.lab import Lab
    from portulan.lab.lab import ending_on_signals

    command: list[str] = ctx.meta["portulan.command"]
    if not command:
        raise UsageError("no command", where="lab run", hint="portulan lab run -- CMD ...")
    found = _find(scenario, name, local=local)
    if found:
        ctx.exit(_run(found, command, host))
    with ending_on_signals(), Lab.up(scenario or DEFAULT, name=name, local=local) as made:
        if made.state.mode == "local":
            _announce(made)
        ctx.exit(_run(made, command, host))


@lab.command("down")
@click.argument("name", default="")
@click.option("--all", "every", is_flag=True, help="Every lab there is.")
def down(name: str, *, every: bool) -> None:
    """Take a lab down, or what is left of one; without NAME the default one."""
    from portulan.lab import all_names
    from portulan.lab import down as take_down

    for each in all_names() if every else [name or DEFAULT]:
        there = take_down(each)
        click.echo(f"lab {each}: {'down' if there else 'was not up'}", err=True)


@lab.command("list")
def list_labs() -> None:
    """List the scenarios that come with Portulan, and the labs that are up."""
    from portulan.lab import all_names, bundled, load
    from portulan.lab.state import read

    for name in bundled():
        click.echo(f"{name:<12} {load(name).about}")
    for name in all_names():
        state = read(name)
        if state and state.alive:
            click.echo(f"up: {name} (scenario {state.scenario}, {state.mode})")
        else:
            click.echo(f"remains: {name} (portulan lab down {name} clears them)")


@lab.command("show")
@click.argument("scenario", default=DEFAULT)
@click.option("--json", "as_json", is_flag=True, help="The true state of every port, as JSON.")
@click.option("-p", "ports", default="", help="Of these ports instead of the scenario's.")
@click.option("--local", is_flag=True, help="As it is on 127.0.0.0/8.")
def show(scenario: str, ports: str, *, as_json: bool, local: bool) -> None:
    """Show a scenario's map: hosts, addresses, services, rules. The answer sheet of a scan."""
    import msgspec

    from portulan.lab import describe, load, truth
    from portulan.lab.local import first_unprivileged_port, localize

    plan = load(scenario)
    if local:
        plan = localize(plan, first_port=first_unprivileged_port())
    if as_json:
        click.echo(msgspec.json.encode(list(truth(plan, ports))))
    else:
        click.echo(describe(plan))


def _find(scenario: str, name: str, *, local: bool) -> Lab | None:
    """Return the lab that is up under that name, if it is also of that kind."""
    from portulan.errors import UsageError
    from portulan.lab import Lab, load

    wanted = load(scenario or DEFAULT).name
    found = Lab.find(name or wanted)
    if found and scenario and found.scenario.name != wanted:
        raise UsageError(f"lab {found.name} is up with scenario {found.scenario.name}, not this",
                         text=scenario, hint="choose another --name")
    if found and local and found.state.mode != "local":
        raise UsageError(f"lab {found.name} is up with namespaces", where="--local",
                         hint="choose another --name")
    return found


def _run(made: Lab, command: list[str], host: str) -> int:
    """Run a command with our standard streams; its exit code, 128 + n for a signal."""
    from portulan.errors import UsageError
    from portulan.lab.lab import leaving_ctrl_c

    try:
        with leaving_ctrl_c():
            code = made.run(command, host=host).returncode
    except (FileNotFoundError, PermissionError) as error:
        # A folder on PATH that we may not enter makes a name that is nowhere "permission denied".
        found = isinstance(error, PermissionError) and "/" in command[0]
        reason = "may not be executed" if found else "no such command"
        raise UsageError(reason, text=command[0], where="lab run") from None
    return code if code >= 0 else 128 - code


def _announce(made: Lab) -> None:
    how = {
        "namespaces": "in network namespaces",
        "user namespace": "in a user namespace, as you are not root",
        "local": "on 127.0.0.0/8, without firewalls and loss, as namespaces are not allowed here",
    }[made.state.mode]
    plan = made.scenario
    click.echo(
        f"lab {made.name} is up {how}: {' '.join(plan.targets)}, ports {plan.ports}", err=True
    )
