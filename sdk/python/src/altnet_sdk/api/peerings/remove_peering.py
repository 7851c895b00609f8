from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...types import Response, UNSET
from ... import errors

from ...models.peering import Peering
from ...models.problem import Problem
from ...types import UNSET, Unset
from typing import cast



def _get_kwargs(
    peering: str,
    *,
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
        "method": "delete",
        "url": "/v1/peerings/{peering}".format(peering=quote(str(peering), safe=""),),
        "params": params,
    }


    _kwargs["headers"] = headers
    return _kwargs



def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Peering | Problem | None:
    if response.status_code == 200:
        response_200 = Peering.from_dict(response.json())



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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[Peering | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    peering: str,
    *,
    client: AuthenticatedClient,
    dry_run: bool | Unset = False,
    if_match: None | str | Unset = UNSET,

) -> Response[Peering | Problem]:
    """ Remove Peering

     Remove a peering; its session ends and its routes go. Answers with what it was.

    Args:
        peering (str):
        dry_run (bool | Unset):  Default: False.
        if_match (None | str | Unset): The ETag of the version that is to be changed.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Peering | Problem]
     """


    kwargs = _get_kwargs(
        peering=peering,
dry_run=dry_run,
if_match=if_match,

    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)

def sync(
    peering: str,
    *,
    client: AuthenticatedClient,
    dry_run: bool | Unset = False,
    if_match: None | str | Unset = UNSET,

) -> Peering | Problem | None:
    """ Remove Peering

     Remove a peering; its session ends and its routes go. Answers with what it was.

    Args:
        peering (str):
        dry_run (bool | Unset):  Default: False.
        if_match (None | str | Unset): The ETag of the version that is to be changed.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Peering | Problem
     """


    return sync_detailed(
        peering=peering,
client=client,
dry_run=dry_run,
if_match=if_match,

    ).parsed

async def asyncio_detailed(
    peering: str,
    *,
    client: AuthenticatedClient,
    dry_run: bool | Unset = False,
    if_match: None | str | Unset = UNSET,

) -> Response[Peering | Problem]:
    """ Remove Peering

     Remove a peering; its session ends and its routes go. Answers with what it was.

    Args:
        peering (str):
        dry_run (bool | Unset):  Default: False.
        if_match (None | str | Unset): The ETag of the version that is to be changed.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Peering | Problem]
     """


    kwargs = _get_kwargs(
        peering=peering,
dry_run=dry_run,
if_match=if_match,

    )

    response = await client.get_async_httpx_client().request(
        **kwargs
    )

    return _build_response(client=client, response=response)

async def asyncio(
    peering: str,
    *,
    client: AuthenticatedClient,
    dry_run: bool | Unset = False,
    if_match: None | str | Unset = UNSET,

) -> Peering | Problem | None:
    """ Remove Peering

     Remove a peering; its session ends and its routes go. Answers with what it was.

    Args:
        peering (str):
        dry_run (bool | Unset):  Default: False.
        if_match (None | str | Unset): The ETag of the version that is to be changed.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Peering | Problem
     """


    return (await asyncio_detailed(
        peering=peering,
client=client,
dry_run=dry_run,
if_match=if_match,

    )).parsed
