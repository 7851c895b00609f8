from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...types import Response, UNSET
from ... import errors

from ...models.host_key_page import HostKeyPage
from ...models.host_key_use import check_host_key_use
from ...models.host_key_use import HostKeyUse
from ...models.problem import Problem
from ...types import UNSET, Unset
from typing import cast



def _get_kwargs(
    *,
    identity: None | str | Unset = UNSET,
    network: None | str | Unset = UNSET,
    use: HostKeyUse | None | Unset = UNSET,
    key: None | str | Unset = UNSET,
    in_use: bool | None | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> dict[str, Any]:
    

    

    params: dict[str, Any] = {}

    json_identity: None | str | Unset
    if isinstance(identity, Unset):
        json_identity = UNSET
    else:
        json_identity = identity
    params["identity"] = json_identity

    json_network: None | str | Unset
    if isinstance(network, Unset):
        json_network = UNSET
    else:
        json_network = network
    params["network"] = json_network

    json_use: None | str | Unset
    if isinstance(use, Unset):
        json_use = UNSET
    elif isinstance(use, str):
        json_use = use
    else:
        json_use = use
    params["use"] = json_use

    json_key: None | str | Unset
    if isinstance(key, Unset):
        json_key = UNSET
    else:
        json_key = key
    params["key"] = json_key

    json_in_use: bool | None | Unset
    if isinstance(in_use, Unset):
        json_in_use = UNSET
    else:
        json_in_use = in_use
    params["in_use"] = json_in_use

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
        "url": "/v1/keys",
        "params": params,
    }


    return _kwargs



def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> HostKeyPage | Problem | None:
    if response.status_code == 200:
        response_200 = HostKeyPage.from_dict(response.json())



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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[HostKeyPage | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    identity: None | str | Unset = UNSET,
    network: None | str | Unset = UNSET,
    use: HostKeyUse | None | Unset = UNSET,
    key: None | str | Unset = UNSET,
    in_use: bool | None | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> Response[HostKeyPage | Problem]:
    """ List Keys

     List every key that a host has or had, newest first: public halves.

    Args:
        identity (None | str | Unset): The relay's identifier.
        network (None | str | Unset): Identifier.
        use (HostKeyUse | None | Unset):
        key (None | str | Unset): Public key, base64.
        in_use (bool | None | Unset): Only those that are in use, or only the others.
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[HostKeyPage | Problem]
     """


    kwargs = _get_kwargs(
        identity=identity,
network=network,
use=use,
key=key,
in_use=in_use,
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
    identity: None | str | Unset = UNSET,
    network: None | str | Unset = UNSET,
    use: HostKeyUse | None | Unset = UNSET,
    key: None | str | Unset = UNSET,
    in_use: bool | None | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> HostKeyPage | Problem | None:
    """ List Keys

     List every key that a host has or had, newest first: public halves.

    Args:
        identity (None | str | Unset): The relay's identifier.
        network (None | str | Unset): Identifier.
        use (HostKeyUse | None | Unset):
        key (None | str | Unset): Public key, base64.
        in_use (bool | None | Unset): Only those that are in use, or only the others.
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        HostKeyPage | Problem
     """


    return sync_detailed(
        client=client,
identity=identity,
network=network,
use=use,
key=key,
in_use=in_use,
cursor=cursor,
limit=limit,

    ).parsed

async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    identity: None | str | Unset = UNSET,
    network: None | str | Unset = UNSET,
    use: HostKeyUse | None | Unset = UNSET,
    key: None | str | Unset = UNSET,
    in_use: bool | None | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> Response[HostKeyPage | Problem]:
    """ List Keys

     List every key that a host has or had, newest first: public halves.

    Args:
        identity (None | str | Unset): The relay's identifier.
        network (None | str | Unset): Identifier.
        use (HostKeyUse | None | Unset):
        key (None | str | Unset): Public key, base64.
        in_use (bool | None | Unset): Only those that are in use, or only the others.
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[HostKeyPage | Problem]
     """


    kwargs = _get_kwargs(
        identity=identity,
network=network,
use=use,
key=key,
in_use=in_use,
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
    identity: None | str | Unset = UNSET,
    network: None | str | Unset = UNSET,
    use: HostKeyUse | None | Unset = UNSET,
    key: None | str | Unset = UNSET,
    in_use: bool | None | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> HostKeyPage | Problem | None:
    """ List Keys

     List every key that a host has or had, newest first: public halves.

    Args:
        identity (None | str | Unset): The relay's identifier.
        network (None | str | Unset): Identifier.
        use (HostKeyUse | None | Unset):
        key (None | str | Unset): Public key, base64.
        in_use (bool | None | Unset): Only those that are in use, or only the others.
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        HostKeyPage | Problem
     """


    return (await asyncio_detailed(
        client=client,
identity=identity,
network=network,
use=use,
key=key,
in_use=in_use,
cursor=cursor,
limit=limit,

    )).parsed
