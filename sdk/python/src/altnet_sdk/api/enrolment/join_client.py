from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...types import Response, UNSET
from ... import errors

from ...models.join import Join
from ...models.join_answer import JoinAnswer
from ...models.problem import Problem
from typing import cast



def _get_kwargs(
    *,
    body: Join,

) -> dict[str, Any]:
    headers: dict[str, Any] = {}


    

    

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/v1/join",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs



def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> JoinAnswer | Problem | None:
    if response.status_code == 200:
        response_200 = JoinAnswer.from_dict(response.json())



        return response_200

    if response.status_code == 201:
        response_201 = JoinAnswer.from_dict(response.json())



        return response_201

    if response.status_code == 403:
        response_403 = Problem.from_dict(response.json())



        return response_403

    if response.status_code == 409:
        response_409 = Problem.from_dict(response.json())



        return response_409

    if response.status_code == 413:
        response_413 = Problem.from_dict(response.json())



        return response_413

    if response.status_code == 422:
        response_422 = Problem.from_dict(response.json())



        return response_422

    if response.status_code == 429:
        response_429 = Problem.from_dict(response.json())



        return response_429

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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[JoinAnswer | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient | Client,
    body: Join,

) -> Response[JoinAnswer | Problem]:
    """ Join Client

     Make the caller a client, by a join token. The same key with the same token again is the same
    client, uses
    nothing up, and gets a fresh secret.

    Args:
        body (Join): Somebody asks to become a client. The key pair is made by the caller, and the
            private key stays there.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[JoinAnswer | Problem]
     """


    kwargs = _get_kwargs(
        body=body,

    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)

def sync(
    *,
    client: AuthenticatedClient | Client,
    body: Join,

) -> JoinAnswer | Problem | None:
    """ Join Client

     Make the caller a client, by a join token. The same key with the same token again is the same
    client, uses
    nothing up, and gets a fresh secret.

    Args:
        body (Join): Somebody asks to become a client. The key pair is made by the caller, and the
            private key stays there.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        JoinAnswer | Problem
     """


    return sync_detailed(
        client=client,
body=body,

    ).parsed

async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    body: Join,

) -> Response[JoinAnswer | Problem]:
    """ Join Client

     Make the caller a client, by a join token. The same key with the same token again is the same
    client, uses
    nothing up, and gets a fresh secret.

    Args:
        body (Join): Somebody asks to become a client. The key pair is made by the caller, and the
            private key stays there.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[JoinAnswer | Problem]
     """


    kwargs = _get_kwargs(
        body=body,

    )

    response = await client.get_async_httpx_client().request(
        **kwargs
    )

    return _build_response(client=client, response=response)

async def asyncio(
    *,
    client: AuthenticatedClient | Client,
    body: Join,

) -> JoinAnswer | Problem | None:
    """ Join Client

     Make the caller a client, by a join token. The same key with the same token again is the same
    client, uses
    nothing up, and gets a fresh secret.

    Args:
        body (Join): Somebody asks to become a client. The key pair is made by the caller, and the
            private key stays there.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        JoinAnswer | Problem
     """


    return (await asyncio_detailed(
        client=client,
body=body,

    )).parsed
