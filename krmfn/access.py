"""Repositories of images: how they are reached, who said so, and what they offer."""

from __future__ import annotations

from krmfn.namedtuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.image import ImageRef


class Provenance(NamedTuple):
    """Who said something: this machine (its environment and files), or an item, which lives in a namespace or in none."""

    is_machine: bool = False
    namespace: str = ""

    def may_see(self, login: Provenance) -> bool:
        """True if a login may go where this one wants it: any may where the machine does, else its own alone.

        >>> shop = Provenance(namespace="shop")
        >>> MACHINE.may_see(shop), shop.may_see(shop), shop.may_see(MACHINE), shop.may_see(ITEM)
        (True, True, False, False)
        """
        return self.is_machine or self == login


MACHINE = Provenance(is_machine=True)
ITEM = Provenance()


class Mirror(NamedTuple):
    """Repositories below `prefix` are asked for at `place`; `provenance` says who wants that."""

    prefix: str
    place: str
    provenance: Provenance = ITEM


class Access(NamedTuple):
    """How to reach a registry for one repository. Secrets never show in repr, results or logs.

    `docker_configs` are texts of dockerconfigjson Secrets, tried in order before the docker config of the machine.
    `missing_secrets` names the Secrets that were meant to help and are not among the items. `provenance` holds for all that
    is here: one ImageRepository names every part, and its Secrets live in its namespace.
    """

    insecure: bool = False
    timeout_seconds: float | None = None
    docker_configs: tuple[str, ...] = ()
    ca_pem: str | None = None
    client_cert_pem: str | None = None
    client_key_pem: str | None = None
    proxy_address: str | None = None
    proxy_username: str | None = None
    proxy_password: str | None = None
    realm_hosts: tuple[str, ...] = ()
    missing_secrets: tuple[str, ...] = ()
    provenance: Provenance = ITEM

    def __repr__(self) -> str:
        """Name no secret."""
        return f"Access(insecure={self.insecure}, timeout_seconds={self.timeout_seconds}, provenance={self.provenance})"

    def __eq__(self, other: object) -> bool:
        """Compare what reaches the registry: not `missing_secrets` and `provenance`."""
        return isinstance(other, Access) and self[:-2] == other[:-2]

    def __hash__(self) -> int:
        return hash(self[:-2])


class Repository(NamedTuple):
    """A repository whose tags a policy wants. Equal repositories are asked once."""

    image: ImageRef
    access: Access = Access()


class Listing(NamedTuple):
    """What a repository offered. `malformed` counts entries that were no tags and were dropped at the door.

    `left_out` counts tags that exist but were not kept in a TagSnapshot, as no policy could use them.
    """

    tags: tuple[str, ...]
    malformed: int = 0
    left_out: int = 0
