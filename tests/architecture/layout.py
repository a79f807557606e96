"""Which module stands in which ring; everything not named here is core."""

import pkgutil

import fraudline

# Rings around the core: they read and write, so that it need not.
OUTER = ("adapters", "cli", "demo", "local", "realtime", "settings")


def modules() -> list[str]:
    return sorted(module.name for module in pkgutil.walk_packages(fraudline.__path__, "fraudline."))


def core_modules() -> list[str]:
    """At least one: a test that looks at none would pass."""
    found = [name for name in modules() if name.split(".")[1] not in OUTER]
    assert found
    return found


def realtime_modules() -> list[str]:
    """At least one."""
    found = [name for name in modules() if name.split(".")[1] == "realtime"]
    assert found
    return found
