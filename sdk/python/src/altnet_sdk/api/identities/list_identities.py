from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...types import Response, UNSET
from ... import errors

from ...models.identity_page import IdentityPage
from ...models.identity_state import check_identity_state
from ...models.identity_state import IdentityState
from ...models.problem import Problem
from ...types import UNSET, Unset
from typing import cast



def _get_kwargs(
    *,
    state: IdentityState | None | Unset = UNSET,
    network: None | str | Unset = UNSET,
    name: None | str | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> dict[str, Any]:
    

    

    params: dict[str, Any] = {}

    json_state: None | str | Unset
    if isinstance(state, Unset):
        json_state = UNSET
    elif isinstance(state, str):
        json_state = state
    else:
        json_state = state
    params["state"] = json_state

    json_network: None | str | Unset
    if isinstance(network, Unset):
        json_network = UNSET
    else:
        json_network = network
    params["network"] = json_network

    json_name: None | str | Unset
    if isinstance(name, Unset):
        json_name = UNSET
    else:
        json_name = name
    params["name"] = json_name

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
        "url": "/v1/identities",
        "params": params,
    }


    return _kwargs



def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> IdentityPage | Problem | None:
    if response.status_code == 200:
        response_200 = IdentityPage.from_dict(response.json())



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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[IdentityPage | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    state: IdentityState | None | Unset = UNSET,
    network: None | str | Unset = UNSET,
    name: None | str | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> Response[IdentityPage | Problem]:
    """ List Identities

     List identities of hosts, oldest first.

    Args:
        state (IdentityState | None | Unset):
        network (None | str | Unset): Identifier.
        name (None | str | Unset):
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[IdentityPage | Problem]
     """


    kwargs = _get_kwargs(
        state=state,
network=network,
name=name,
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
    state: IdentityState | None | Unset = UNSET,
    network: None | str | Unset = UNSET,
    name: None | str | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> IdentityPage | Problem | None:
    """ List Identities

     List identities of hosts, oldest first.

    Args:
        state (IdentityState | None | Unset):
        network (None | str | Unset): Identifier.
        name (None | str | Unset):
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        IdentityPage | Problem
     """


    return sync_detailed(
        client=client,
state=state,
network=network,
name=name,
cursor=cursor,
limit=limit,

    ).parsed

async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    state: IdentityState | None | Unset = UNSET,
    network: None | str | Unset = UNSET,
    name: None | str | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> Response[IdentityPage | Problem]:
    """ List Identities

     List identities of hosts, oldest first.

    Args:
        state (IdentityState | None | Unset):
        network (None | str | Unset): Identifier.
        name (None | str | Unset):
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[IdentityPage | Problem]
     """


    kwargs = _get_kwargs(
        state=state,
network=network,
name=name,
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
    state: IdentityState | None | Unset = UNSET,
    network: None | str | Unset = UNSET,
    name: None | str | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> IdentityPage | Problem | None:
    """ List Identities

     List identities of hosts, oldest first.

    Args:
        state (IdentityState | None | Unset):
        network (None | str | Unset): Identifier.
        name (None | str | Unset):
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        IdentityPage | Problem
     """


    return (await asyncio_detailed(
        client=client,
state=state,
network=network,
name=name,
cursor=cursor,
limit=limit,

    )).parsed
