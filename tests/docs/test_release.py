"""Version and release dates are the same wherever they are written."""

import re
import tomllib
from datetime import date

import yaml
from support.paths import ROOT

RELEASE = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})$", re.MULTILINE)
# sections of keepachangelog.com
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def version():
    return tomllib.loads(text("pyproject.toml"))["project"]["version"]


def test_latest_release_is_the_version_of_package_and_citation():
    cited = yaml.safe_load(text("CITATION.cff"))
    (latest, day), *_ = RELEASE.findall(text("CHANGELOG.md"))
    assert latest == version() == cited["version"]
    assert day == str(cited["date-released"])


def test_peers_are_compared_with_this_version():
    named = set(re.findall(r"\bstackelgrid (\d+\.\d+)\b", text("docs/peers.md")))
    assert named == {version().rpartition(".")[0]}


def test_changelog_lists_releases_from_new_to_old():
    changelog = text("CHANGELOG.md")
    releases = [
        (tuple(map(int, number.split("."))), date.fromisoformat(day))
        for number, day in RELEASE.findall(changelog)
    ]
    assert releases == sorted(releases, reverse=True)
    assert re.findall(r"^## (.*)$", changelog, re.M)[0] == "[Unreleased]"
    assert len(re.findall(r"^## ", changelog, re.M)) == len(releases) + 1
    assert set(re.findall(r"^### (.*)$", changelog, re.M)) <= KINDS
