"""`larder branch keys`: the keys that count at this node, and those that it issues itself."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from branch_node.cli.node_client import Directory, node_at, zone_of
from branch_node.database.keys.api_keys import OWN_ROLES
from shared.runtime.cli.arguments import duration
from shared.runtime.cli.output import AsJson, print_json, print_table, print_text, short_time
from shared.runtime.cli.service_client import read_items
from shared.runtime.http.scopes import Role, Scope

keys_app: Final = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Keys that count at this node: list, add, rotate, revoke."
)

KeyId = Annotated[str, typer.Argument(metavar="KEY_ID", help="The id, the part of the key after lk_.")]


@keys_app.command("list")
def list_node_keys(directory: Directory = None, as_json: AsJson = False) -> None:
    """The keys that count here, revoked ones included: this node's own, and those of head office."""
    with node_at(directory) as node:
        found = list(read_items(node, "/v1/keys"))
        zone = zone_of(node)
    if as_json:
        print_json({"items": found, "next": None})
        return
    rows = [
        (
            each["key_id"],
            " + ".join((each["role"], *each["scopes"])),
            each["label"],
            "here" if each["issued_here"] else "head office",
            short_time(each["last_used_at"], zone),
            short_time(each["revoked_at"], zone),
        )
        for each in found
    ]
    print_table(
        f"Keys, times in {zone.key}", ("key id", "role", "label~", "issued", "last used@", "revoked@"), rows,
        empty="No keys yet: 'larder branch keys add' issues one.",
    )  # fmt: skip


@keys_app.command("add")
def add_node_key(
    *,
    role: Annotated[Role, typer.Option(help="What the key may do.", case_sensitive=False)],
    label: Annotated[str | None, typer.Option(help="Whose it is, for the list.")] = None,
    scopes: Annotated[
        list[Scope] | None,
        typer.Option("--scope", help="A scope beyond those of the role: restock, for an integration.", metavar="SCOPE"),
    ] = None,
    directory: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Issue a key of this node alone, and print it, once. Head office's keys count here, too."""
    if role not in OWN_ROLES:
        raise typer.BadParameter(f"a node issues keys with the roles {', '.join(OWN_ROLES)}", param_hint="--role")
    body = {"role": role.value, "label": label, "scopes": [scope.value for scope in scopes or ()] or None}
    with node_at(directory) as node:
        made = node.post("/v1/keys", {name: value for name, value in body.items() if value is not None})
    if as_json:
        print_json(made)
        return
    print_text(f"A key with the role {role}, shown this once:\n\n  {made['key']}")


@keys_app.command("rotate")
def rotate_node_key(
    key_id: KeyId,
    overlap: Annotated[
        str, typer.Option(help="How long the text until now stays good: 24h, 30m, 7d; 0: not at all.")
    ] = "24h",
    directory: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Give a key of this node another text, and print it, once. The text until now stays good for the overlap."""
    seconds = duration(overlap, "--overlap")
    with node_at(directory) as node:
        made = node.post(_address(key_id, "rotate"), {"overlap_seconds": seconds})
    if as_json:
        print_json(made)
        return
    until = made["previous_until"]
    print_text(f"The new text of {key_id}, shown this once:\n\n  {made['key']}")
    print_text("No text before it is good any more." if until is None else f"The text before it is good until {until}.")


@keys_app.command("revoke")
def revoke_node_key(key_id: KeyId, directory: Directory = None, as_json: AsJson = False) -> None:
    """Revoke a key of this node, permanently. One of head office is revoked there."""
    with node_at(directory) as node:
        revoked: dict[str, Any] = node.post(_address(key_id, "revoke"), {})
    if as_json:
        print_json(revoked)
    else:
        print_text(f"{key_id} ({revoked['role']}) is revoked since {revoked['revoked_at']}")


def _address(key_id: str, act: str) -> str:
    return f"/v1/keys/{quote(key_id, safe='')}/{act}"
