from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...types import Response, UNSET
from ... import errors

from ...models.problem import Problem
from ...models.site import Site
from ...models.site_patch import SitePatch
from ...types import UNSET, Unset
from typing import cast



def _get_kwargs(
    site: str,
    *,
    body: SitePatch,
    dry_run: bool | Unset = False,
    if_match: None | str | Unset = UNSET,

) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(if_match, Unset):
        headers["If-Match"] = if_match



    

    params: dict[str, Any] = {}

    params["dry_run"] = dry_run


    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}


    _kwargs: dict[str, Any] = {
        "method": "patch",
        "url": "/v1/sites/{site}".format(site=quote(str(site), safe=""),),
        "params": params,
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs



def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Problem | Site | None:
    if response.status_code == 200:
        response_200 = Site.from_dict(response.json())



        return response_200

    if response.status_code == 401:
        response_401 = Problem.from_dict(response.json())



        return response_401

    if response.status_code == 403:
        response_403 = Problem.from_dict(response.json())



        return response_403

    if response.status_code == 404:
        response_404 = Problem.from_dict(response.json())



        return response_404

    if response.status_code == 409:
        response_409 = Problem.from_dict(response.json())



        return response_409

    if response.status_code == 412:
        response_412 = Problem.from_dict(response.json())



        return response_412

    if response.status_code == 413:
        response_413 = Problem.from_dict(response.json())



        return response_413

    if response.status_code == 422:
        response_422 = Problem.from_dict(response.json())



        return response_422

    if response.status_code == 428:
        response_428 = Problem.from_dict(response.json())



        return response_428

    if response.status_code == 500:
        response_500 = Problem.from_dict(response.json())



        return response_500

    if response.status_code == 503:
        response_503 = Problem.from_dict(response.json())



        return response_503

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[Problem | Site]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    site: str,
    *,
    client: AuthenticatedClient,
    body: SitePatch,
    dry_run: bool | Unset = False,
    if_match: None | str | Unset = UNSET,

) -> Response[Problem | Site]:
    """ Change Site

     Change a site: what is left out stays.

    Args:
        site (str):
        dry_run (bool | Unset):  Default: False.
        if_match (None | str | Unset): The ETag of the version that is to be changed.
        body (SitePatch): What of a site is to change.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | Site]
     """


    kwargs = _get_kwargs(
        site=site,
body=body,
dry_run=dry_run,
if_match=if_match,

    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)

def sync(
    site: str,
    *,
    client: AuthenticatedClient,
    body: SitePatch,
    dry_run: bool | Unset = False,
    if_match: None | str | Unset = UNSET,

) -> Problem | Site | None:
    """ Change Site

     Change a site: what is left out stays.

    Args:
        site (str):
        dry_run (bool | Unset):  Default: False.
        if_match (None | str | Unset): The ETag of the version that is to be changed.
        body (SitePatch): What of a site is to change.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | Site
     """


    return sync_detailed(
        site=site,
client=client,
body=body,
dry_run=dry_run,
if_match=if_match,

    ).parsed

async def asyncio_detailed(
    site: str,
    *,
    client: AuthenticatedClient,
    body: SitePatch,
    dry_run: bool | Unset = False,
    if_match: None | str | Unset = UNSET,

) -> Response[Problem | Site]:
    """ Change Site

     Change a site: what is left out stays.

    Args:
        site (str):
        dry_run (bool | Unset):  Default: False.
        if_match (None | str | Unset): The ETag of the version that is to be changed.
        body (SitePatch): What of a site is to change.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | Site]
     """


    kwargs = _get_kwargs(
        site=site,
body=body,
dry_run=dry_run,
if_match=if_match,

    )

    response = await client.get_async_httpx_client().request(
        **kwargs
    )

    return _build_response(client=client, response=response)

async def asyncio(
    site: str,
    *,
    client: AuthenticatedClient,
    body: SitePatch,
    dry_run: bool | Unset = False,
    if_match: None | str | Unset = UNSET,

) -> Problem | Site | None:
    """ Change Site

     Change a site: what is left out stays.

    Args:
        site (str):
        dry_run (bool | Unset):  Default: False.
        if_match (None | str | Unset): The ETag of the version that is to be changed.
        body (SitePatch): What of a site is to change.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | Site
     """


    return (await asyncio_detailed(
        site=site,
client=client,
body=body,
dry_run=dry_run,
if_match=if_match,

    )).parsed
