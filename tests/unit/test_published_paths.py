"""Upgrade policies that vendors have published, as catalogues: they must give the paths that were published."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from liftlock.manifest import catalogue, read_product, read_release
from liftlock.model import Catalogue
from liftlock.path import NoPathError, find_path

PRODUCT = "product: {name}\ntitle: {{en: {name}}}\nhealth: {{command: bin/version}}\n"
RELEASE = """\
version: "{version}"
kind: upgrade
artifact: {{path: "{version}.tar", sha256: "{zeros}", length: 1}}
summary: {{en: Published}}
{more}
"""


def published(name: str, releases: Iterable[tuple[str, str]]) -> Catalogue:
    """The catalogue of a product; each release is a version and what its manifest says beyond the ordinary."""
    return catalogue(
        read_product(PRODUCT.format(name=name), "product.yaml"),
        (
            read_release(RELEASE.format(version=version, zeros="0" * 64, more=more), f"{name}/{version}.yaml")
            for version, more in releases
        ),
    )


def route(offered: Catalogue, observed: str, wanted: str, **facts: str | tuple[str, ...]) -> str:
    return " > ".join([observed, *(hop.to_version for hop in find_path(offered, observed, wanted, facts))])


KUBERNETES = published(
    "kubernetes",
    [
        (f"1.{minor}.{patch}", f'requires: ">=1.{minor - 1},<1.{minor + 1}"')
        for minor, patches in ((31, (0, 14)), (32, (0, 10)), (33, (0, 6)), (34, ("0rc1", 0, 2)))
        for patch in patches
    ],
)


@pytest.mark.parametrize(
    ("observed", "wanted", "path"),
    [
        ("1.30.4", "1.34.2", "1.30.4 > 1.31.14 > 1.32.10 > 1.33.6 > 1.34.2"),
        ("1.33.0", "1.34.2", "1.33.0 > 1.34.2"),
        ("1.33.0", "1.33.6", "1.33.0 > 1.33.6"),
        ("1.34.0", "1.34.2", "1.34.0 > 1.34.2"),
    ],
)
def test_kubernetes_goes_up_one_minor_at_a_time(observed: str, wanted: str, path: str) -> None:
    """ "Upgrading kubeadm clusters" and "Version Skew Policy", The Kubernetes Authors (kubernetes.io): from 1.x to
    1.(x+1), and from 1.x.y to 1.x.z; skipping minor versions is not supported.
    """
    assert route(KUBERNETES, observed, wanted) == path


def test_kubernetes_cannot_be_reached_from_before_the_oldest_offered_minor() -> None:
    with pytest.raises(NoPathError) as refused:
        route(KUBERNETES, "1.28.5", "1.34.2")
    assert refused.value.reason == (
        "no path from 1.28.5 to 1.34.2: 1.34.2 requires >=1.33,<1.35; 1.31.14 requires >=1.30,<1.32; "
        "1.32.10 requires >=1.31,<1.33; no other release can be reached"
    )


NEXTCLOUD = published(
    "nextcloud",
    [
        ("18.0.4", ""),
        ("18.0.11", "stop: true"),
        ("19.0.0", 'requires: ">=18.0.11"\nstop: true'),
        ("19.0.5", 'requires: ">=18.0.11"'),
        ("20.0.0", 'requires: ">=19.0.5"\nstop: true'),
        ("20.0.2", 'requires: ">=19.0.5"'),
    ],
)


@pytest.mark.parametrize(
    ("observed", "wanted", "path"),
    [
        ("18.0.5", "20.0.2", "18.0.5 > 18.0.11 > 19.0.5 > 20.0.2"),
        ("18.0.11", "20.0.2", "18.0.11 > 19.0.5 > 20.0.2"),
        ("19.0.0", "20.0.2", "19.0.0 > 19.0.5 > 20.0.2"),
        ("18.0.4", "18.0.11", "18.0.4 > 18.0.11"),
    ],
)
def test_nextcloud_goes_up_one_major_at_a_time_and_always_from_the_newest_patch(
    observed: str, wanted: str, path: str
) -> None:
    """ "How to upgrade", Nextcloud Administration Manual, Nextcloud GmbH (docs.nextcloud.com): first the latest point
    release, then the latest one of the next major release, none skipped; its example is the first path here.
    """
    assert route(NEXTCLOUD, observed, wanted) == path


ELASTICSEARCH = published(
    "elasticsearch",
    [
        ("5.6.16", ""),
        ("6.0.0", 'requires: ">=5.6"'),
        ("6.8.0", 'requires: ">=5.6"\nstop: true'),
        ("6.8.23", 'requires: ">=5.6"'),
        (
            "7.0.0",
            'requires: ">=6.7"\nblocked:\n- {from: "==6.8.*", reason: not supported, '
            'url: "https://www.elastic.co/guide/en/elasticsearch/reference/7.17/setup-upgrade.html"}',
        ),
        ("7.17.0", 'requires: ">=6.8"\nstop: true'),
        ("7.17.29", 'requires: ">=6.8"'),
        ("8.0.0", 'requires: ">=7.17"'),
        ("8.18.8", 'requires: ">=7.17"'),
    ],
)


@pytest.mark.parametrize(
    ("observed", "wanted", "path"),
    [
        ("6.8.2", "8.18.8", "6.8.2 > 7.17.29 > 8.18.8"),
        ("6.5.4", "8.18.8", "6.5.4 > 6.8.23 > 7.17.29 > 8.18.8"),
        ("5.6.16", "7.17.29", "5.6.16 > 6.8.23 > 7.17.29"),
        ("5.2.1", "7.17.29", "5.2.1 > 5.6.16 > 6.8.23 > 7.17.29"),
        ("7.10.2", "8.18.8", "7.10.2 > 7.17.29 > 8.18.8"),
        ("7.17.3", "8.18.8", "7.17.3 > 8.18.8"),
        ("8.2.0", "8.18.8", "8.2.0 > 8.18.8"),
    ],
)
def test_elasticsearch_goes_to_the_last_minor_before_the_next_major(observed: str, wanted: str, path: str) -> None:
    """ "Upgrade Elasticsearch", Elasticsearch Guide 7.17 and 8.18, Elastic (elastic.co): 6.8 before 7.17, 7.17 before
    8.x; from 5.6 to 6.8.
    """
    assert route(ELASTICSEARCH, observed, wanted) == path


def test_elasticsearch_7_0_cannot_be_reached_from_6_8() -> None:
    """The same guide, 7.17: the upgrade from 6.8 to 7.0 is not supported."""
    with pytest.raises(
        NoPathError, match=r"7\.0\.0 is blocked from 6\.8\.23: not supported \(https://www\.elastic\.co/"
    ):
        route(ELASTICSEARCH, "6.8.23", "7.0.0")


SETTLED = "settled: background-migrations"
GITLAB = published(
    "gitlab",
    [
        ("15.0.5", f"stop: {{{SETTLED}}}"),
        ("15.1.6", f"stop: {{when: \"facts.web_nodes > '1'\", {SETTLED}}}"),
        ("15.4.6", f"stop: {{{SETTLED}}}"),
        ("15.11.0", f"stop: {{{SETTLED}}}"),
        ("15.11.13", ""),
        ("16.0.10", f'stop: {{when: "users in facts.many or pipeline_variables in facts.many", {SETTLED}}}'),
        ("16.1.8", f'stop: {{when: "npm in facts.packages", {SETTLED}}}'),
        ("16.2.11", f'stop: {{when: "pipeline_variables in facts.many", {SETTLED}}}'),
        ("16.3.0", f"stop: {{{SETTLED}}}"),
        ("16.3.9", ""),
        ("16.7.10", f"stop: {{{SETTLED}}}"),
        ("16.8.7", ""),
        ("16.11.10", f"stop: {{{SETTLED}}}"),
        ("17.1.8", f'stop: {{when: "pipeline_messages in facts.many", {SETTLED}}}'),
        ("17.3.7", f"stop: {{{SETTLED}}}"),
        ("17.5.5", f"stop: {{{SETTLED}}}"),
        ("17.8.7", f"stop: {{{SETTLED}}}"),
        ("17.11.7", f"stop: {{{SETTLED}}}"),
    ],
)
TO_17 = "16.3.9 > 16.7.10 > 16.11.10 > 17.3.7 > 17.5.5 > 17.8.7 > 17.11.7"


@pytest.mark.parametrize(
    ("observed", "facts", "path"),
    [
        ("15.11.13", {}, f"15.11.13 > {TO_17}"),
        ("15.11.2", {"packages": ("maven", "npm")}, f"15.11.2 > 16.1.8 > {TO_17}"),
        ("15.11.13", {"many": "users"}, f"15.11.13 > 16.0.10 > {TO_17}"),
        ("15.11.13", {"many": "pipeline_variables"}, f"15.11.13 > 16.0.10 > 16.2.11 > {TO_17}"),
        (
            "15.11.13",
            {"many": ("pipeline_messages", "pipeline_variables"), "packages": "npm"},
            f"15.11.13 > 16.0.10 > 16.1.8 > 16.2.11 > {TO_17.replace('> 17.3.7', '> 17.1.8 > 17.3.7')}",
        ),
        ("14.10.5", {"web_nodes": "1"}, f"14.10.5 > 15.0.5 > 15.4.6 > 15.11.13 > {TO_17}"),
        ("14.10.5", {"web_nodes": "3"}, f"14.10.5 > 15.0.5 > 15.1.6 > 15.4.6 > 15.11.13 > {TO_17}"),
        ("16.8.7", {"packages": "npm"}, "16.8.7 > 16.11.10 > 17.3.7 > 17.5.5 > 17.8.7 > 17.11.7"),
    ],
)
def test_gitlab_makes_the_stops_that_are_required_for_an_instance(
    observed: str, facts: dict[str, str | tuple[str, ...]], path: str
) -> None:
    """ "Plan your upgrade path", GitLab Docs, GitLab Inc. (docs.gitlab.com): the required stops of GitLab 15 to 17,
    some only for instances with several web nodes, many users, NPM packages or large tables.
    """
    assert route(GITLAB, observed, "17.11.7", **facts) == path


def test_gitlab_lets_background_migrations_finish_before_the_next_stop() -> None:
    """The same page: upgrade to a stop, allow its background migrations to finish, upgrade to the next."""
    *before, last = find_path(GITLAB, "15.11.13", "17.11.7")
    assert {hop.settled_gate for hop in before} == {"background-migrations"}
    assert last.settled_gate == ""
