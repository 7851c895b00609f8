from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...types import Response, UNSET
from ... import errors

from ...models.problem import Problem
from ...models.revocation import Revocation
from typing import cast



def _get_kwargs(
    revocation: str,

) -> dict[str, Any]:
    

    

    

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/v1/revocations/{revocation}".format(revocation=quote(str(revocation), safe=""),),
    }


    return _kwargs



def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Problem | Revocation | None:
    if response.status_code == 200:
        response_200 = Revocation.from_dict(response.json())



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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[Problem | Revocation]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    revocation: str,
    *,
    client: AuthenticatedClient,

) -> Response[Problem | Revocation]:
    """ Get Revocation

     Show a revocation.

    Args:
        revocation (str): The revocation's identifier.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | Revocation]
     """


    kwargs = _get_kwargs(
        revocation=revocation,

    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)

def sync(
    revocation: str,
    *,
    client: AuthenticatedClient,

) -> Problem | Revocation | None:
    """ Get Revocation

     Show a revocation.

    Args:
        revocation (str): The revocation's identifier.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | Revocation
     """


    return sync_detailed(
        revocation=revocation,
client=client,

    ).parsed

async def asyncio_detailed(
    revocation: str,
    *,
    client: AuthenticatedClient,

) -> Response[Problem | Revocation]:
    """ Get Revocation

     Show a revocation.

    Args:
        revocation (str): The revocation's identifier.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | Revocation]
     """


    kwargs = _get_kwargs(
        revocation=revocation,

    )

    response = await client.get_async_httpx_client().request(
        **kwargs
    )

    return _build_response(client=client, response=response)

async def asyncio(
    revocation: str,
    *,
    client: AuthenticatedClient,

) -> Problem | Revocation | None:
    """ Get Revocation

     Show a revocation.

    Args:
        revocation (str): The revocation's identifier.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | Revocation
     """


    return (await asyncio_detailed(
        revocation=revocation,
client=client,

    )).parsed
