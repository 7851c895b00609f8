from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...types import Response, UNSET
from ... import errors

from ...models.problem import Problem
from ...models.service import Service
from ...models.service_patch import ServicePatch
from ...types import UNSET, Unset
from typing import cast



def _get_kwargs(
    service: str,
    *,
    body: ServicePatch,
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
        "method": "patch",
        "url": "/v1/services/{service}".format(service=quote(str(service), safe=""),),
        "params": params,
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs



def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Problem | Service | None:
    if response.status_code == 200:
        response_200 = Service.from_dict(response.json())



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

    if response.status_code == 413:
        response_413 = Problem.from_dict(response.json())



        return response_413

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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[Problem | Service]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    service: str,
    *,
    client: AuthenticatedClient,
    body: ServicePatch,
    dry_run: bool | Unset = False,
    if_match: None | str | Unset = UNSET,

) -> Response[Problem | Service]:
    """ Change Service

     Change a service: what is left out stays, and so does its address.

    Args:
        service (str):
        dry_run (bool | Unset):  Default: False.
        if_match (None | str | Unset): The ETag of the version that is to be changed.
        body (ServicePatch): What of a service is to change.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | Service]
     """


    kwargs = _get_kwargs(
        service=service,
body=body,
dry_run=dry_run,
if_match=if_match,

    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)

def sync(
    service: str,
    *,
    client: AuthenticatedClient,
    body: ServicePatch,
    dry_run: bool | Unset = False,
    if_match: None | str | Unset = UNSET,

) -> Problem | Service | None:
    """ Change Service

     Change a service: what is left out stays, and so does its address.

    Args:
        service (str):
        dry_run (bool | Unset):  Default: False.
        if_match (None | str | Unset): The ETag of the version that is to be changed.
        body (ServicePatch): What of a service is to change.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | Service
     """


    return sync_detailed(
        service=service,
client=client,
body=body,
dry_run=dry_run,
if_match=if_match,

    ).parsed

async def asyncio_detailed(
    service: str,
    *,
    client: AuthenticatedClient,
    body: ServicePatch,
    dry_run: bool | Unset = False,
    if_match: None | str | Unset = UNSET,

) -> Response[Problem | Service]:
    """ Change Service

     Change a service: what is left out stays, and so does its address.

    Args:
        service (str):
        dry_run (bool | Unset):  Default: False.
        if_match (None | str | Unset): The ETag of the version that is to be changed.
        body (ServicePatch): What of a service is to change.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | Service]
     """


    kwargs = _get_kwargs(
        service=service,
body=body,
dry_run=dry_run,
if_match=if_match,

    )

    response = await client.get_async_httpx_client().request(
        **kwargs
    )

    return _build_response(client=client, response=response)

async def asyncio(
    service: str,
    *,
    client: AuthenticatedClient,
    body: ServicePatch,
    dry_run: bool | Unset = False,
    if_match: None | str | Unset = UNSET,

) -> Problem | Service | None:
    """ Change Service

     Change a service: what is left out stays, and so does its address.

    Args:
        service (str):
        dry_run (bool | Unset):  Default: False.
        if_match (None | str | Unset): The ETag of the version that is to be changed.
        body (ServicePatch): What of a service is to change.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | Service
     """


    return (await asyncio_detailed(
        service=service,
client=client,
body=body,
dry_run=dry_run,
if_match=if_match,

    )).parsed
