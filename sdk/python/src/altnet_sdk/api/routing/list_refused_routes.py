from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...types import Response, UNSET
from ... import errors

from ...models.problem import Problem
from ...models.refused_route_page import RefusedRoutePage
from ...types import UNSET, Unset
from typing import cast



def _get_kwargs(
    *,
    network: None | str | Unset = UNSET,
    relay: None | str | Unset = UNSET,
    peering: None | str | Unset = UNSET,
    prefix: None | str | Unset = UNSET,
    within: None | str | Unset = UNSET,
    reason: None | str | Unset = UNSET,
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

    json_relay: None | str | Unset
    if isinstance(relay, Unset):
        json_relay = UNSET
    else:
        json_relay = relay
    params["relay"] = json_relay

    json_peering: None | str | Unset
    if isinstance(peering, Unset):
        json_peering = UNSET
    else:
        json_peering = peering
    params["peering"] = json_peering

    json_prefix: None | str | Unset
    if isinstance(prefix, Unset):
        json_prefix = UNSET
    else:
        json_prefix = prefix
    params["prefix"] = json_prefix

    json_within: None | str | Unset
    if isinstance(within, Unset):
        json_within = UNSET
    else:
        json_within = within
    params["within"] = json_within

    json_reason: None | str | Unset
    if isinstance(reason, Unset):
        json_reason = UNSET
    else:
        json_reason = reason
    params["reason"] = json_reason

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
        "url": "/v1/routes/refused",
        "params": params,
    }


    return _kwargs



def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Problem | RefusedRoutePage | None:
    if response.status_code == 200:
        response_200 = RefusedRoutePage.from_dict(response.json())



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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[Problem | RefusedRoutePage]:
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
    relay: None | str | Unset = UNSET,
    peering: None | str | Unset = UNSET,
    prefix: None | str | Unset = UNSET,
    within: None | str | Unset = UNSET,
    reason: None | str | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> Response[Problem | RefusedRoutePage]:
    """ List Refused Routes

     List routes that routers outside tell and that filters refuse, in the order in which they came.

    Args:
        network (None | str | Unset): Identifier or name.
        relay (None | str | Unset): Told to this relay.
        peering (None | str | Unset): Told by this peering's neighbour.
        prefix (None | str | Unset): Exactly this prefix.
        within (None | str | Unset): Prefixes inside this one, itself included.
        reason (None | str | Unset):
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | RefusedRoutePage]
     """


    kwargs = _get_kwargs(
        network=network,
relay=relay,
peering=peering,
prefix=prefix,
within=within,
reason=reason,
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
    relay: None | str | Unset = UNSET,
    peering: None | str | Unset = UNSET,
    prefix: None | str | Unset = UNSET,
    within: None | str | Unset = UNSET,
    reason: None | str | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> Problem | RefusedRoutePage | None:
    """ List Refused Routes

     List routes that routers outside tell and that filters refuse, in the order in which they came.

    Args:
        network (None | str | Unset): Identifier or name.
        relay (None | str | Unset): Told to this relay.
        peering (None | str | Unset): Told by this peering's neighbour.
        prefix (None | str | Unset): Exactly this prefix.
        within (None | str | Unset): Prefixes inside this one, itself included.
        reason (None | str | Unset):
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | RefusedRoutePage
     """


    return sync_detailed(
        client=client,
network=network,
relay=relay,
peering=peering,
prefix=prefix,
within=within,
reason=reason,
cursor=cursor,
limit=limit,

    ).parsed

async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    network: None | str | Unset = UNSET,
    relay: None | str | Unset = UNSET,
    peering: None | str | Unset = UNSET,
    prefix: None | str | Unset = UNSET,
    within: None | str | Unset = UNSET,
    reason: None | str | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> Response[Problem | RefusedRoutePage]:
    """ List Refused Routes

     List routes that routers outside tell and that filters refuse, in the order in which they came.

    Args:
        network (None | str | Unset): Identifier or name.
        relay (None | str | Unset): Told to this relay.
        peering (None | str | Unset): Told by this peering's neighbour.
        prefix (None | str | Unset): Exactly this prefix.
        within (None | str | Unset): Prefixes inside this one, itself included.
        reason (None | str | Unset):
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | RefusedRoutePage]
     """


    kwargs = _get_kwargs(
        network=network,
relay=relay,
peering=peering,
prefix=prefix,
within=within,
reason=reason,
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
    relay: None | str | Unset = UNSET,
    peering: None | str | Unset = UNSET,
    prefix: None | str | Unset = UNSET,
    within: None | str | Unset = UNSET,
    reason: None | str | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> Problem | RefusedRoutePage | None:
    """ List Refused Routes

     List routes that routers outside tell and that filters refuse, in the order in which they came.

    Args:
        network (None | str | Unset): Identifier or name.
        relay (None | str | Unset): Told to this relay.
        peering (None | str | Unset): Told by this peering's neighbour.
        prefix (None | str | Unset): Exactly this prefix.
        within (None | str | Unset): Prefixes inside this one, itself included.
        reason (None | str | Unset):
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | RefusedRoutePage
     """


    return (await asyncio_detailed(
        client=client,
network=network,
relay=relay,
peering=peering,
prefix=prefix,
within=within,
reason=reason,
cursor=cursor,
limit=limit,

    )).parsed
