from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...types import Response, UNSET
from ... import errors

from ...models.identity_with_history import IdentityWithHistory
from ...models.problem import Problem
from typing import cast



def _get_kwargs(
    identity: str,

) -> dict[str, Any]:
    

    

    

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/v1/identities/{identity}".format(identity=quote(str(identity), safe=""),),
    }


    return _kwargs



def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> IdentityWithHistory | Problem | None:
    if response.status_code == 200:
        response_200 = IdentityWithHistory.from_dict(response.json())



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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[IdentityWithHistory | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    identity: str,
    *,
    client: AuthenticatedClient,

) -> Response[IdentityWithHistory | Problem]:
    """ Get Identity

     Show an identity with every key that it had.

    Args:
        identity (str): The relay's identifier.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[IdentityWithHistory | Problem]
     """


    kwargs = _get_kwargs(
        identity=identity,

    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)

def sync(
    identity: str,
    *,
    client: AuthenticatedClient,

) -> IdentityWithHistory | Problem | None:
    """ Get Identity

     Show an identity with every key that it had.

    Args:
        identity (str): The relay's identifier.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        IdentityWithHistory | Problem
     """


    return sync_detailed(
        identity=identity,
client=client,

    ).parsed

async def asyncio_detailed(
    identity: str,
    *,
    client: AuthenticatedClient,

) -> Response[IdentityWithHistory | Problem]:
    """ Get Identity

     Show an identity with every key that it had.

    Args:
        identity (str): The relay's identifier.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[IdentityWithHistory | Problem]
     """


    kwargs = _get_kwargs(
        identity=identity,

    )

    response = await client.get_async_httpx_client().request(
        **kwargs
    )

    return _build_response(client=client, response=response)

async def asyncio(
    identity: str,
    *,
    client: AuthenticatedClient,

) -> IdentityWithHistory | Problem | None:
    """ Get Identity

     Show an identity with every key that it had.

    Args:
        identity (str): The relay's identifier.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        IdentityWithHistory | Problem
     """


    return (await asyncio_detailed(
        identity=identity,
client=client,

    )).parsed
