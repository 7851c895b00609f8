from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...types import Response, UNSET
from ... import errors

from ...models.lock_entry_signed_page import LockEntrySignedPage
from ...models.problem import Problem
from ...types import UNSET, Unset
from typing import cast



def _get_kwargs(
    *,
    network: None | str | Unset = UNSET,
    after: int | Unset = 0,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> dict[str, Any]:
    

    

    params: dict[str, Any] = {}

    json_network: None | str | Unset
    if isinstance(network, Unset):
        json_network = UNSET
    else:
        json_network = network
    params["network"] = json_network

    params["after"] = after

    json_cursor: None | str | Unset
    if isinstance(cursor, Unset):
        json_cursor = UNSET
    else:
        json_cursor = cursor
    params["cursor"] = json_cursor

    params["limit"] = limit


    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}


    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/v1/lock/entries",
        "params": params,
    }


    return _kwargs



def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> LockEntrySignedPage | Problem | None:
    if response.status_code == 200:
        response_200 = LockEntrySignedPage.from_dict(response.json())



        return response_200

    if response.status_code == 401:
        response_401 = Problem.from_dict(response.json())



        return response_401

    if response.status_code == 403:
        response_403 = Problem.from_dict(response.json())



        return response_403

    if response.status_code == 422:
        response_422 = Problem.from_dict(response.json())



        return response_422

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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[LockEntrySignedPage | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    network: None | str | Unset = UNSET,
    after: int | Unset = 0,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> Response[LockEntrySignedPage | Problem]:
    """ List Lock Entries

     The log, as it was signed, oldest first: all of it is enough for anybody to verify it.

    Args:
        network (None | str | Unset): Identifier; not needed where there is one.
        after (int | Unset): Only entries behind this number, for who has the others. Default: 0.
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[LockEntrySignedPage | Problem]
     """


    kwargs = _get_kwargs(
        network=network,
after=after,
cursor=cursor,
limit=limit,

    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)

def sync(
    *,
    client: AuthenticatedClient,
    network: None | str | Unset = UNSET,
    after: int | Unset = 0,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> LockEntrySignedPage | Problem | None:
    """ List Lock Entries

     The log, as it was signed, oldest first: all of it is enough for anybody to verify it.

    Args:
        network (None | str | Unset): Identifier; not needed where there is one.
        after (int | Unset): Only entries behind this number, for who has the others. Default: 0.
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        LockEntrySignedPage | Problem
     """


    return sync_detailed(
        client=client,
network=network,
after=after,
cursor=cursor,
limit=limit,

    ).parsed

async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    network: None | str | Unset = UNSET,
    after: int | Unset = 0,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> Response[LockEntrySignedPage | Problem]:
    """ List Lock Entries

     The log, as it was signed, oldest first: all of it is enough for anybody to verify it.

    Args:
        network (None | str | Unset): Identifier; not needed where there is one.
        after (int | Unset): Only entries behind this number, for who has the others. Default: 0.
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[LockEntrySignedPage | Problem]
     """


    kwargs = _get_kwargs(
        network=network,
after=after,
cursor=cursor,
limit=limit,

    )

    response = await client.get_async_httpx_client().request(
        **kwargs
    )

    return _build_response(client=client, response=response)

async def asyncio(
    *,
    client: AuthenticatedClient,
    network: None | str | Unset = UNSET,
    after: int | Unset = 0,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> LockEntrySignedPage | Problem | None:
    """ List Lock Entries

     The log, as it was signed, oldest first: all of it is enough for anybody to verify it.

    Args:
        network (None | str | Unset): Identifier; not needed where there is one.
        after (int | Unset): Only entries behind this number, for who has the others. Default: 0.
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        LockEntrySignedPage | Problem
     """


    return (await asyncio_detailed(
        client=client,
network=network,
after=after,
cursor=cursor,
limit=limit,

    )).parsed
