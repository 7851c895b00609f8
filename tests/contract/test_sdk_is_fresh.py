"""The published OpenAPI documents and the generated client are what the code makes now."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from altnet.common.http.openapi import complaints
from altnet.common.http.routes import documented_paths
from altnet.host.admin.documents import openapi_documents, opened_nowhere, write_openapi

ROOT = Path(__file__).resolve().parents[2]


async def test_the_published_openapi_documents_are_up_to_date(tmp_path: Path) -> None:
    for path in await write_openapi(tmp_path):
        published = ROOT / "docs/openapi" / path.name
        assert published.read_text() == path.read_text(), f"{published.name}: run `make openapi`"


async def test_the_merged_document_is_one_that_a_reader_and_a_generator_like() -> None:
    for name, document in (await openapi_documents()).items():
        assert complaints(document) == [], name


async def test_the_front_of_all_services_knows_every_documented_path(tmp_path: Path) -> None:
    async with opened_nowhere(tmp_path) as apps:
        for name, app in apps.items():
            assert documented_paths(app.routes) == set(app.openapi()["paths"]), name


@pytest.mark.slow
def test_the_generated_client_is_up_to_date_and_made_without_a_complaint(tmp_path: Path) -> None:
    generator = Path(sys.executable).parent / "openapi-python-client"
    made = tmp_path / "altnet_sdk"
    arguments = ["--path", ROOT / "docs/openapi/altnet.json", "--config", ROOT / "sdk/python/generator.yml"]
    arguments += ["--custom-template-path", ROOT / "sdk/python/templates"]

    done = subprocess.run(
        [generator, "generate", *arguments, "--meta", "none", "--output-path", made, "--fail-on-warning"],
        capture_output=True,
        timeout=110,
        check=False,
    )

    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    assert sources(made) == sources(ROOT / "sdk/python/src/altnet_sdk"), "run `make sdk`"


def test_a_model_of_the_generated_client_is_imported_without_all_others() -> None:
    code = (
        "import sys; from altnet_sdk.api.relays import list_relays; from altnet_sdk import models;"
        "print(sum(name.startswith('altnet_sdk.models.') for name in sys.modules), models.Peering.__name__,"
        " all(hasattr(models, name) for name in models.__all__))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=True)

    loaded, name, all_there = done.stdout.decode().split()
    assert (name, all_there) == ("Peering", "True")
    assert int(loaded) < 20


def test_no_schema_has_a_name_that_a_generated_client_uses_itself() -> None:
    document = json.loads((ROOT / "docs/openapi/altnet.json").read_text())

    assert not {"Client", "AuthenticatedClient", "Response", "Unset"} & set(document["components"]["schemas"])


def sources(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.py")}
