from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...types import Response, UNSET
from ... import errors

from ...models.problem import Problem
from ...models.rotation import Rotation
from typing import cast



def _get_kwargs(
    rotation: str,

) -> dict[str, Any]:
    

    

    

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/v1/rotations/{rotation}".format(rotation=quote(str(rotation), safe=""),),
    }


    return _kwargs



def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Problem | Rotation | None:
    if response.status_code == 200:
        response_200 = Rotation.from_dict(response.json())



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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[Problem | Rotation]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    rotation: str,
    *,
    client: AuthenticatedClient,

) -> Response[Problem | Rotation]:
    """ Get Rotation

     Show a rotation: its phase and wave, and how far each relay is.

    Args:
        rotation (str): The rotation's identifier.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | Rotation]
     """


    kwargs = _get_kwargs(
        rotation=rotation,

    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)

def sync(
    rotation: str,
    *,
    client: AuthenticatedClient,

) -> Problem | Rotation | None:
    """ Get Rotation

     Show a rotation: its phase and wave, and how far each relay is.

    Args:
        rotation (str): The rotation's identifier.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | Rotation
     """


    return sync_detailed(
        rotation=rotation,
client=client,

    ).parsed

async def asyncio_detailed(
    rotation: str,
    *,
    client: AuthenticatedClient,

) -> Response[Problem | Rotation]:
    """ Get Rotation

     Show a rotation: its phase and wave, and how far each relay is.

    Args:
        rotation (str): The rotation's identifier.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | Rotation]
     """


    kwargs = _get_kwargs(
        rotation=rotation,

    )

    response = await client.get_async_httpx_client().request(
        **kwargs
    )

    return _build_response(client=client, response=response)

async def asyncio(
    rotation: str,
    *,
    client: AuthenticatedClient,

) -> Problem | Rotation | None:
    """ Get Rotation

     Show a rotation: its phase and wave, and how far each relay is.

    Args:
        rotation (str): The rotation's identifier.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | Rotation
     """


    return (await asyncio_detailed(
        rotation=rotation,
client=client,

    )).parsed
