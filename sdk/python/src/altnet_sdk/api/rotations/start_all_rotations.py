from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...types import Response, UNSET
from ... import errors

from ...models.problem import Problem
from ...models.rotations_start import RotationsStart
from ...models.rotations_started import RotationsStarted
from ...types import UNSET, Unset
from typing import cast



def _get_kwargs(
    *,
    body: RotationsStart,
    dry_run: bool | Unset = False,
    idempotency_key: str | Unset = UNSET,

) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key



    

    params: dict[str, Any] = {}

    params["dry_run"] = dry_run


    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}


    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/v1/rotations/all",
        "params": params,
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs



def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Problem | RotationsStarted | None:
    if response.status_code == 201:
        response_201 = RotationsStarted.from_dict(response.json())



        return response_201

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

    if response.status_code == 413:
        response_413 = Problem.from_dict(response.json())



        return response_413

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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[Problem | RotationsStarted]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    body: RotationsStart,
    dry_run: bool | Unset = False,
    idempotency_key: str | Unset = UNSET,

) -> Response[Problem | RotationsStarted]:
    """ Start All Rotations

     Replace every WireGuard key of a network, without losing a packet: a rotation of the mesh's keys,
    one of those
    that clients know relays by, and one of clients' own, which then go side by side. All three are
    opened, or none.

    Args:
        dry_run (bool | Unset):  Default: False.
        idempotency_key (str | Unset):
        body (RotationsStart): Start a rotation of each kind.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | RotationsStarted]
     """


    kwargs = _get_kwargs(
        body=body,
dry_run=dry_run,
idempotency_key=idempotency_key,

    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)

def sync(
    *,
    client: AuthenticatedClient,
    body: RotationsStart,
    dry_run: bool | Unset = False,
    idempotency_key: str | Unset = UNSET,

) -> Problem | RotationsStarted | None:
    """ Start All Rotations

     Replace every WireGuard key of a network, without losing a packet: a rotation of the mesh's keys,
    one of those
    that clients know relays by, and one of clients' own, which then go side by side. All three are
    opened, or none.

    Args:
        dry_run (bool | Unset):  Default: False.
        idempotency_key (str | Unset):
        body (RotationsStart): Start a rotation of each kind.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | RotationsStarted
     """


    return sync_detailed(
        client=client,
body=body,
dry_run=dry_run,
idempotency_key=idempotency_key,

    ).parsed

async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: RotationsStart,
    dry_run: bool | Unset = False,
    idempotency_key: str | Unset = UNSET,

) -> Response[Problem | RotationsStarted]:
    """ Start All Rotations

     Replace every WireGuard key of a network, without losing a packet: a rotation of the mesh's keys,
    one of those
    that clients know relays by, and one of clients' own, which then go side by side. All three are
    opened, or none.

    Args:
        dry_run (bool | Unset):  Default: False.
        idempotency_key (str | Unset):
        body (RotationsStart): Start a rotation of each kind.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | RotationsStarted]
     """


    kwargs = _get_kwargs(
        body=body,
dry_run=dry_run,
idempotency_key=idempotency_key,

    )

    response = await client.get_async_httpx_client().request(
        **kwargs
    )

    return _build_response(client=client, response=response)

async def asyncio(
    *,
    client: AuthenticatedClient,
    body: RotationsStart,
    dry_run: bool | Unset = False,
    idempotency_key: str | Unset = UNSET,

) -> Problem | RotationsStarted | None:
    """ Start All Rotations

     Replace every WireGuard key of a network, without losing a packet: a rotation of the mesh's keys,
    one of those
    that clients know relays by, and one of clients' own, which then go side by side. All three are
    opened, or none.

    Args:
        dry_run (bool | Unset):  Default: False.
        idempotency_key (str | Unset):
        body (RotationsStart): Start a rotation of each kind.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | RotationsStarted
     """


    return (await asyncio_detailed(
        client=client,
body=body,
dry_run=dry_run,
idempotency_key=idempotency_key,

    )).parsed
