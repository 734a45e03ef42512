"""What a plugin may be called, and what follows from it."""

from __future__ import annotations

import pytest

from zoo.errors import UserError
from zoo.registry import RESERVED, Origin
from zoo.scaffold.names import LONGEST, check_free, derive_names


@pytest.mark.parametrize(
    ("distribution", "package", "namespace", "title"),
    [
        ("zoo-lion", "zoo_lion", "lion", "Lion"),
        ("Zoo.Sea_Lion", "zoo_sea_lion", "sea_lion", "SeaLion"),
        ("acme--tools", "acme_tools", "acme_tools", "AcmeTools"),
        ("zoo-class", "zoo_class", "class", "Class"),
        ("a", "a", "a", "A"),
    ],
)
def test_all_names_follow_from_the_distributions(distribution: str, package: str, namespace: str, title: str) -> None:
    names = derive_names(distribution)
    assert (names.distribution, names.package, names.namespace, names.title) == (
        distribution,
        package,
        namespace,
        title,
    )
    assert names.full_name == f"{namespace}/{namespace}"
    assert names.constant == package.upper()


@pytest.mark.parametrize("name", ["", "-lion", "lion-", "zoo lion", "zoo/lion", "löwe", "zoo-lion\n", "a" * 41])
def test_what_no_distribution_may_be_called_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="no name for a distribution") as caught:
        derive_names(name)
    assert str(LONGEST) in (caught.value.allowed or "")


@pytest.mark.parametrize("name", ["3d", "zoo-3d", "class", "zoo-null", "zoo-auto", "None"])
def test_what_python_or_a_configuration_reads_otherwise_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="makes a package"):
        derive_names(name)


def test_the_longest_name_is_allowed() -> None:
    assert derive_names("a" * LONGEST).package == "a" * LONGEST


@pytest.mark.parametrize("namespace", sorted(RESERVED))
def test_zoos_own_namespaces_are_refused(namespace: str) -> None:
    with pytest.raises(UserError, match=f"namespace '{namespace}' belongs to zoo itself"):
        check_free(derive_names(f"zoo-{namespace}"), [])
    check_free(derive_names(f"zoo-{namespace}-extras"), [])


def test_a_namespace_that_a_plugin_has_is_said_with_its_owner() -> None:
    taken = [Origin("bear", "zoo-bear", "1.0"), Origin("lion.old", "acme-cats", "2.1")]
    with pytest.raises(UserError, match=r"'lion' is taken by the plugin lion\.old \(acme-cats 2\.1\)"):
        check_free(derive_names("zoo-lion"), taken)
    check_free(derive_names("zoo-tiger"), taken)


def test_a_distribution_that_is_installed_is_refused() -> None:
    with pytest.raises(UserError, match="distribution 'Pluggy' is installed already, version"):
        check_free(derive_names("Pluggy"), [])


@pytest.mark.parametrize("name", ["yaml", "json"])
def test_a_package_that_is_there_is_not_hidden(name: str) -> None:
    """yaml belongs to PyYAML: no distribution of that name is installed, and the package is."""
    with pytest.raises(UserError, match=f"package '{name}' is installed already"):
        check_free(derive_names(name), [])
