from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...types import Response, UNSET
from ... import errors

from ...models.network_path import NetworkPath
from ...models.problem import Problem
from ...types import UNSET, Unset
from typing import cast



def _get_kwargs(
    *,
    from_: str,
    to: str,
    network: None | str | Unset = UNSET,

) -> dict[str, Any]:
    

    

    params: dict[str, Any] = {}

    params["from"] = from_

    params["to"] = to

    json_network: None | str | Unset
    if isinstance(network, Unset):
        json_network = UNSET
    else:
        json_network = network
    params["network"] = json_network


    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}


    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/v1/paths",
        "params": params,
    }


    return _kwargs



def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> NetworkPath | Problem | None:
    if response.status_code == 200:
        response_200 = NetworkPath.from_dict(response.json())



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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[NetworkPath | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    from_: str,
    to: str,
    network: None | str | Unset = UNSET,

) -> Response[NetworkPath | Problem]:
    """ Get Path

     Follow a packet from relay to relay, asking each what it does and why.

    A relay that does not answer, a dead end and a loop are part of the answer: `complete` is false
    then.

    Args:
        from_ (str): Relay, client or service (name, id, address).
        to (str): The same, or any address.
        network (None | str | Unset): Identifier or name.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[NetworkPath | Problem]
     """


    kwargs = _get_kwargs(
        from_=from_,
to=to,
network=network,

    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)

def sync(
    *,
    client: AuthenticatedClient,
    from_: str,
    to: str,
    network: None | str | Unset = UNSET,

) -> NetworkPath | Problem | None:
    """ Get Path

     Follow a packet from relay to relay, asking each what it does and why.

    A relay that does not answer, a dead end and a loop are part of the answer: `complete` is false
    then.

    Args:
        from_ (str): Relay, client or service (name, id, address).
        to (str): The same, or any address.
        network (None | str | Unset): Identifier or name.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        NetworkPath | Problem
     """


    return sync_detailed(
        client=client,
from_=from_,
to=to,
network=network,

    ).parsed

async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    from_: str,
    to: str,
    network: None | str | Unset = UNSET,

) -> Response[NetworkPath | Problem]:
    """ Get Path

     Follow a packet from relay to relay, asking each what it does and why.

    A relay that does not answer, a dead end and a loop are part of the answer: `complete` is false
    then.

    Args:
        from_ (str): Relay, client or service (name, id, address).
        to (str): The same, or any address.
        network (None | str | Unset): Identifier or name.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[NetworkPath | Problem]
     """


    kwargs = _get_kwargs(
        from_=from_,
to=to,
network=network,

    )

    response = await client.get_async_httpx_client().request(
        **kwargs
    )

    return _build_response(client=client, response=response)

async def asyncio(
    *,
    client: AuthenticatedClient,
    from_: str,
    to: str,
    network: None | str | Unset = UNSET,

) -> NetworkPath | Problem | None:
    """ Get Path

     Follow a packet from relay to relay, asking each what it does and why.

    A relay that does not answer, a dead end and a loop are part of the answer: `complete` is false
    then.

    Args:
        from_ (str): Relay, client or service (name, id, address).
        to (str): The same, or any address.
        network (None | str | Unset): Identifier or name.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        NetworkPath | Problem
     """


    return (await asyncio_detailed(
        client=client,
from_=from_,
to=to,
network=network,

    )).parsed
