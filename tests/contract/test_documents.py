"""What the documents say about the code is so."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_each_invariant_names_tests_that_exist() -> None:
    named = set(re.findall(r"`((?:test_|Test)[A-Za-z0-9_]+)`", (ROOT / "docs/invariants.md").read_text()))

    existing = {
        name
        for folder in ("libs", "services", "client", "tests")
        for path in (ROOT / folder).rglob("test_*.py")
        for name in re.findall(r"(?:def |^)(test_[a-z0-9_]+|Test[A-Za-z]+)", path.read_text(), re.MULTILINE)
    }

    assert named
    assert named <= existing, sorted(named - existing)


def test_every_make_target_that_the_documents_name_is_there() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    for document in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        found = re.findall(r"```sh\n(.*?)```|`(make [^`]+)`", document.read_text(), re.DOTALL)
        code = "\n".join(block or inline for block, inline in found)
        for target in re.findall(r"\bmake ([a-z][a-z-]*)", code):
            assert target in targets, f"{document.name}: make {target}"


def test_each_service_has_a_readme_with_its_rooms_that_the_first_page_leads_to() -> None:
    first_page = (ROOT / "README.md").read_text()

    services = sorted(path.parent for path in ROOT.glob("services/*/pyproject.toml"))
    assert services
    for folder in services:
        readme = folder / "README.md"
        assert readme.exists(), f"{folder.name} has no README"
        (package,) = folder.glob("src/altnet/*/")
        text = readme.read_text()
        for room in re.findall(r"^\| (`[^|]*`) \|", text, re.MULTILINE):
            for name in re.findall(r"`([a-z_/]+(?:\.py)?)`", room):
                assert any((place / name).exists() for place in (package, folder)), f"{folder.name}: no room {name}"
        assert f"services/{folder.name}/README.md" in first_page


def test_links_between_documents_lead_somewhere() -> None:
    documents = (ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *ROOT.glob("services/*/README.md"))
    for document in sorted(documents):
        for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_nothing_that_is_tracked_names_a_registrys_host_or_a_lock_with_addresses() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, timeout=30).stdout
    names = listed.decode().split("\0")

    assert "uv.lock" not in names
    for name in names:
        path = ROOT / name
        if name.startswith("requirements/") and path.is_file():
            assert "://" not in path.read_text(), name
