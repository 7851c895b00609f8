from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...types import Response, UNSET
from ... import errors

from ...models.peering_page import PeeringPage
from ...models.problem import Problem
from ...models.standing import check_standing
from ...models.standing import Standing
from ...types import UNSET, Unset
from typing import cast



def _get_kwargs(
    *,
    network: None | str | Unset = UNSET,
    name: None | str | Unset = UNSET,
    relay: None | str | Unset = UNSET,
    asn: int | None | Unset = UNSET,
    standing: None | Standing | Unset = UNSET,
    enabled: bool | None | Unset = UNSET,
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

    json_name: None | str | Unset
    if isinstance(name, Unset):
        json_name = UNSET
    else:
        json_name = name
    params["name"] = json_name

    json_relay: None | str | Unset
    if isinstance(relay, Unset):
        json_relay = UNSET
    else:
        json_relay = relay
    params["relay"] = json_relay

    json_asn: int | None | Unset
    if isinstance(asn, Unset):
        json_asn = UNSET
    else:
        json_asn = asn
    params["asn"] = json_asn

    json_standing: None | str | Unset
    if isinstance(standing, Unset):
        json_standing = UNSET
    elif isinstance(standing, str):
        json_standing = standing
    else:
        json_standing = standing
    params["standing"] = json_standing

    json_enabled: bool | None | Unset
    if isinstance(enabled, Unset):
        json_enabled = UNSET
    else:
        json_enabled = enabled
    params["enabled"] = json_enabled

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
        "url": "/v1/peerings",
        "params": params,
    }


    return _kwargs



def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> PeeringPage | Problem | None:
    if response.status_code == 200:
        response_200 = PeeringPage.from_dict(response.json())



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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[PeeringPage | Problem]:
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
    name: None | str | Unset = UNSET,
    relay: None | str | Unset = UNSET,
    asn: int | None | Unset = UNSET,
    standing: None | Standing | Unset = UNSET,
    enabled: bool | None | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> Response[PeeringPage | Problem]:
    """ List Peerings

     List peerings, oldest first.

    Args:
        network (None | str | Unset): Identifier or name.
        name (None | str | Unset):
        relay (None | str | Unset): Held by this relay.
        asn (int | None | Unset): Of the neighbour.
        standing (None | Standing | Unset): Of the session.
        enabled (bool | None | Unset):
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[PeeringPage | Problem]
     """


    kwargs = _get_kwargs(
        network=network,
name=name,
relay=relay,
asn=asn,
standing=standing,
enabled=enabled,
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
    name: None | str | Unset = UNSET,
    relay: None | str | Unset = UNSET,
    asn: int | None | Unset = UNSET,
    standing: None | Standing | Unset = UNSET,
    enabled: bool | None | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> PeeringPage | Problem | None:
    """ List Peerings

     List peerings, oldest first.

    Args:
        network (None | str | Unset): Identifier or name.
        name (None | str | Unset):
        relay (None | str | Unset): Held by this relay.
        asn (int | None | Unset): Of the neighbour.
        standing (None | Standing | Unset): Of the session.
        enabled (bool | None | Unset):
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        PeeringPage | Problem
     """


    return sync_detailed(
        client=client,
network=network,
name=name,
relay=relay,
asn=asn,
standing=standing,
enabled=enabled,
cursor=cursor,
limit=limit,

    ).parsed

async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    network: None | str | Unset = UNSET,
    name: None | str | Unset = UNSET,
    relay: None | str | Unset = UNSET,
    asn: int | None | Unset = UNSET,
    standing: None | Standing | Unset = UNSET,
    enabled: bool | None | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> Response[PeeringPage | Problem]:
    """ List Peerings

     List peerings, oldest first.

    Args:
        network (None | str | Unset): Identifier or name.
        name (None | str | Unset):
        relay (None | str | Unset): Held by this relay.
        asn (int | None | Unset): Of the neighbour.
        standing (None | Standing | Unset): Of the session.
        enabled (bool | None | Unset):
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[PeeringPage | Problem]
     """


    kwargs = _get_kwargs(
        network=network,
name=name,
relay=relay,
asn=asn,
standing=standing,
enabled=enabled,
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
    name: None | str | Unset = UNSET,
    relay: None | str | Unset = UNSET,
    asn: int | None | Unset = UNSET,
    standing: None | Standing | Unset = UNSET,
    enabled: bool | None | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> PeeringPage | Problem | None:
    """ List Peerings

     List peerings, oldest first.

    Args:
        network (None | str | Unset): Identifier or name.
        name (None | str | Unset):
        relay (None | str | Unset): Held by this relay.
        asn (int | None | Unset): Of the neighbour.
        standing (None | Standing | Unset): Of the session.
        enabled (bool | None | Unset):
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        PeeringPage | Problem
     """


    return (await asyncio_detailed(
        client=client,
network=network,
name=name,
relay=relay,
asn=asn,
standing=standing,
enabled=enabled,
cursor=cursor,
limit=limit,

    )).parsed
