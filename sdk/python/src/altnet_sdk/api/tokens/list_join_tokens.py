from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...types import Response, UNSET
from ... import errors

from ...models.join_token_page import JoinTokenPage
from ...models.problem import Problem
from ...models.token_kind import check_token_kind
from ...models.token_kind import TokenKind
from ...types import UNSET, Unset
from typing import cast



def _get_kwargs(
    *,
    kind: None | TokenKind | Unset = UNSET,
    usable: bool | None | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> dict[str, Any]:
    

    

    params: dict[str, Any] = {}

    json_kind: None | str | Unset
    if isinstance(kind, Unset):
        json_kind = UNSET
    elif isinstance(kind, str):
        json_kind = kind
    else:
        json_kind = kind
    params["kind"] = json_kind

    json_usable: bool | None | Unset
    if isinstance(usable, Unset):
        json_usable = UNSET
    else:
        json_usable = usable
    params["usable"] = json_usable

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
        "url": "/v1/tokens/join",
        "params": params,
    }


    return _kwargs



def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> JoinTokenPage | Problem | None:
    if response.status_code == 200:
        response_200 = JoinTokenPage.from_dict(response.json())



        return response_200

    if response.status_code == 401:
        response_401 = Problem.from_dict(response.json())



        return response_401

    if response.status_code == 403:
        response_403 = Problem.from_dict(response.json())



        return response_403

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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[JoinTokenPage | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    kind: None | TokenKind | Unset = UNSET,
    usable: bool | None | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> Response[JoinTokenPage | Problem]:
    """ List Join Tokens

     List join tokens, newest first.

    Args:
        kind (None | TokenKind | Unset):
        usable (bool | None | Unset): Only those that let somebody in, or only the others.
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[JoinTokenPage | Problem]
     """


    kwargs = _get_kwargs(
        kind=kind,
usable=usable,
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
    kind: None | TokenKind | Unset = UNSET,
    usable: bool | None | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> JoinTokenPage | Problem | None:
    """ List Join Tokens

     List join tokens, newest first.

    Args:
        kind (None | TokenKind | Unset):
        usable (bool | None | Unset): Only those that let somebody in, or only the others.
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        JoinTokenPage | Problem
     """


    return sync_detailed(
        client=client,
kind=kind,
usable=usable,
cursor=cursor,
limit=limit,

    ).parsed

async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    kind: None | TokenKind | Unset = UNSET,
    usable: bool | None | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> Response[JoinTokenPage | Problem]:
    """ List Join Tokens

     List join tokens, newest first.

    Args:
        kind (None | TokenKind | Unset):
        usable (bool | None | Unset): Only those that let somebody in, or only the others.
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[JoinTokenPage | Problem]
     """


    kwargs = _get_kwargs(
        kind=kind,
usable=usable,
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
    kind: None | TokenKind | Unset = UNSET,
    usable: bool | None | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> JoinTokenPage | Problem | None:
    """ List Join Tokens

     List join tokens, newest first.

    Args:
        kind (None | TokenKind | Unset):
        usable (bool | None | Unset): Only those that let somebody in, or only the others.
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        JoinTokenPage | Problem
     """


    return (await asyncio_detailed(
        client=client,
kind=kind,
usable=usable,
cursor=cursor,
limit=limit,

    )).parsed
