"""A change names the version that it is based on."""

from __future__ import annotations

import pytest
from altnet.common.errors import PreconditionRequired, Stale
from altnet.common.http.etag import etag_of, require_match
from support.toy_api import make_toy


@pytest.mark.parametrize("header", ['"7"', "*", '"6", "7"', ' "7" '])
def test_the_present_version_is_accepted(header: str) -> None:
    require_match(header, 7)


@pytest.mark.parametrize("header", ['"6"', 'W/"7"', "7", "", '"77"', '"7', "'7'"])
def test_any_other_version_is_stale(header: str) -> None:
    with pytest.raises(Stale) as caught:
        require_match(header, 7)
    assert etag_of(7) in caught.value.detail
    assert caught.value.field == "/If-Match"


def test_no_version_at_all_is_refused() -> None:
    with pytest.raises(PreconditionRequired):
        require_match(None, 7)


async def test_over_rest_they_are_428_and_412_and_name_the_header() -> None:
    toy = make_toy()
    async with toy.client(**toy.bearer()) as client:
        none = await client.put("/v1/peers/p1", json={"name": "x"})
        old = await client.put("/v1/peers/p1", json={"name": "x"}, headers={"If-Match": '"6"'})
        now = await client.put("/v1/peers/p1", json={"name": "x"}, headers={"If-Match": '"7"'})

    assert [answer.status_code for answer in (none, old, now)] == [428, 412, 200]
    assert (none.json()["code"], old.json()["code"]) == ("if_match_required", "version_changed")
    for answer in (none, old):
        said = answer.json()
        assert said["errors"] == [
            {"pointer": "/If-Match", "detail": said["detail"], "code": said["code"], "location": "header"}
        ]
        assert said["mend"]
