from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...types import Response, UNSET
from ... import errors

from ...models.problem import Problem
from ...models.relay_routes import RelayRoutes
from ...types import UNSET, Unset
from typing import cast



def _get_kwargs(
    relay: str,
    *,
    to: str | Unset = '',
    after: str | Unset = '',
    limit: int | Unset = 1000,

) -> dict[str, Any]:
    

    

    params: dict[str, Any] = {}

    params["to"] = to

    params["after"] = after

    params["limit"] = limit


    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}


    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/v1/relays/{relay}/routes".format(relay=quote(str(relay), safe=""),),
        "params": params,
    }


    return _kwargs



def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Problem | RelayRoutes | None:
    if response.status_code == 200:
        response_200 = RelayRoutes.from_dict(response.json())



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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[Problem | RelayRoutes]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    relay: str,
    *,
    client: AuthenticatedClient,
    to: str | Unset = '',
    after: str | Unset = '',
    limit: int | Unset = 1000,

) -> Response[Problem | RelayRoutes]:
    """ List Relay Routes

     Ask a relay for its routes, now. Of one without a routing engine they are computed.

    Args:
        relay (str):
        to (str | Unset): Address or prefix: only routes that its packets can take. Default: ''.
        after (str | Unset): `next_after` of the answer before. Default: ''.
        limit (int | Unset):  Default: 1000.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | RelayRoutes]
     """


    kwargs = _get_kwargs(
        relay=relay,
to=to,
after=after,
limit=limit,

    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)

def sync(
    relay: str,
    *,
    client: AuthenticatedClient,
    to: str | Unset = '',
    after: str | Unset = '',
    limit: int | Unset = 1000,

) -> Problem | RelayRoutes | None:
    """ List Relay Routes

     Ask a relay for its routes, now. Of one without a routing engine they are computed.

    Args:
        relay (str):
        to (str | Unset): Address or prefix: only routes that its packets can take. Default: ''.
        after (str | Unset): `next_after` of the answer before. Default: ''.
        limit (int | Unset):  Default: 1000.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | RelayRoutes
     """


    return sync_detailed(
        relay=relay,
client=client,
to=to,
after=after,
limit=limit,

    ).parsed

async def asyncio_detailed(
    relay: str,
    *,
    client: AuthenticatedClient,
    to: str | Unset = '',
    after: str | Unset = '',
    limit: int | Unset = 1000,

) -> Response[Problem | RelayRoutes]:
    """ List Relay Routes

     Ask a relay for its routes, now. Of one without a routing engine they are computed.

    Args:
        relay (str):
        to (str | Unset): Address or prefix: only routes that its packets can take. Default: ''.
        after (str | Unset): `next_after` of the answer before. Default: ''.
        limit (int | Unset):  Default: 1000.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | RelayRoutes]
     """


    kwargs = _get_kwargs(
        relay=relay,
to=to,
after=after,
limit=limit,

    )

    response = await client.get_async_httpx_client().request(
        **kwargs
    )

    return _build_response(client=client, response=response)

async def asyncio(
    relay: str,
    *,
    client: AuthenticatedClient,
    to: str | Unset = '',
    after: str | Unset = '',
    limit: int | Unset = 1000,

) -> Problem | RelayRoutes | None:
    """ List Relay Routes

     Ask a relay for its routes, now. Of one without a routing engine they are computed.

    Args:
        relay (str):
        to (str | Unset): Address or prefix: only routes that its packets can take. Default: ''.
        after (str | Unset): `next_after` of the answer before. Default: ''.
        limit (int | Unset):  Default: 1000.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | RelayRoutes
     """


    return (await asyncio_detailed(
        relay=relay,
client=client,
to=to,
after=after,
limit=limit,

    )).parsed
