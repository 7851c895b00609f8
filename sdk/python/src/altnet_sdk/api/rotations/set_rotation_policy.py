from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...types import Response, UNSET
from ... import errors

from ...models.key_kind import check_key_kind
from ...models.key_kind import KeyKind
from ...models.policy_wish import PolicyWish
from ...models.problem import Problem
from ...models.rotation_policy import RotationPolicy
from ...types import UNSET, Unset
from typing import cast



def _get_kwargs(
    network: str,
    *,
    body: PolicyWish,
    kind: KeyKind | Unset = UNSET,
    dry_run: bool | Unset = False,

) -> dict[str, Any]:
    headers: dict[str, Any] = {}


    

    params: dict[str, Any] = {}

    json_kind: str | Unset = UNSET
    if not isinstance(kind, Unset):
        json_kind = kind

    params["kind"] = json_kind

    params["dry_run"] = dry_run


    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}


    _kwargs: dict[str, Any] = {
        "method": "put",
        "url": "/v1/rotation-policies/{network}".format(network=quote(str(network), safe=""),),
        "params": params,
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs



def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Problem | RotationPolicy | None:
    if response.status_code == 200:
        response_200 = RotationPolicy.from_dict(response.json())



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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[Problem | RotationPolicy]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    network: str,
    *,
    client: AuthenticatedClient,
    body: PolicyWish,
    kind: KeyKind | Unset = UNSET,
    dry_run: bool | Unset = False,

) -> Response[Problem | RotationPolicy]:
    """ Set Rotation Policy

     Set when and how a network's keys of one kind rotate by themselves.

    Args:
        network (str): The network's identifier.
        kind (KeyKind | Unset): Which keys rotate.
        dry_run (bool | Unset):  Default: False.
        body (PolicyWish): When and how a network's keys of one kind rotate by themselves.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | RotationPolicy]
     """


    kwargs = _get_kwargs(
        network=network,
body=body,
kind=kind,
dry_run=dry_run,

    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)

def sync(
    network: str,
    *,
    client: AuthenticatedClient,
    body: PolicyWish,
    kind: KeyKind | Unset = UNSET,
    dry_run: bool | Unset = False,

) -> Problem | RotationPolicy | None:
    """ Set Rotation Policy

     Set when and how a network's keys of one kind rotate by themselves.

    Args:
        network (str): The network's identifier.
        kind (KeyKind | Unset): Which keys rotate.
        dry_run (bool | Unset):  Default: False.
        body (PolicyWish): When and how a network's keys of one kind rotate by themselves.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | RotationPolicy
     """


    return sync_detailed(
        network=network,
client=client,
body=body,
kind=kind,
dry_run=dry_run,

    ).parsed

async def asyncio_detailed(
    network: str,
    *,
    client: AuthenticatedClient,
    body: PolicyWish,
    kind: KeyKind | Unset = UNSET,
    dry_run: bool | Unset = False,

) -> Response[Problem | RotationPolicy]:
    """ Set Rotation Policy

     Set when and how a network's keys of one kind rotate by themselves.

    Args:
        network (str): The network's identifier.
        kind (KeyKind | Unset): Which keys rotate.
        dry_run (bool | Unset):  Default: False.
        body (PolicyWish): When and how a network's keys of one kind rotate by themselves.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | RotationPolicy]
     """


    kwargs = _get_kwargs(
        network=network,
body=body,
kind=kind,
dry_run=dry_run,

    )

    response = await client.get_async_httpx_client().request(
        **kwargs
    )

    return _build_response(client=client, response=response)

async def asyncio(
    network: str,
    *,
    client: AuthenticatedClient,
    body: PolicyWish,
    kind: KeyKind | Unset = UNSET,
    dry_run: bool | Unset = False,

) -> Problem | RotationPolicy | None:
    """ Set Rotation Policy

     Set when and how a network's keys of one kind rotate by themselves.

    Args:
        network (str): The network's identifier.
        kind (KeyKind | Unset): Which keys rotate.
        dry_run (bool | Unset):  Default: False.
        body (PolicyWish): When and how a network's keys of one kind rotate by themselves.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | RotationPolicy
     """


    return (await asyncio_detailed(
        network=network,
client=client,
body=body,
kind=kind,
dry_run=dry_run,

    )).parsed
