from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...types import Response, UNSET
from ... import errors

from ...models.api_token_page import ApiTokenPage
from ...models.operator_role import check_operator_role
from ...models.operator_role import OperatorRole
from ...models.problem import Problem
from ...types import UNSET, Unset
from typing import cast



def _get_kwargs(
    *,
    name: None | str | Unset = UNSET,
    role: None | OperatorRole | Unset = UNSET,
    usable: bool | None | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> dict[str, Any]:
    

    

    params: dict[str, Any] = {}

    json_name: None | str | Unset
    if isinstance(name, Unset):
        json_name = UNSET
    else:
        json_name = name
    params["name"] = json_name

    json_role: None | str | Unset
    if isinstance(role, Unset):
        json_role = UNSET
    elif isinstance(role, str):
        json_role = role
    else:
        json_role = role
    params["role"] = json_role

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
        "url": "/v1/tokens/api",
        "params": params,
    }


    return _kwargs



def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> ApiTokenPage | Problem | None:
    if response.status_code == 200:
        response_200 = ApiTokenPage.from_dict(response.json())



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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[ApiTokenPage | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    name: None | str | Unset = UNSET,
    role: None | OperatorRole | Unset = UNSET,
    usable: bool | None | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> Response[ApiTokenPage | Problem]:
    """ List Api Tokens

     List API tokens, newest first.

    Args:
        name (None | str | Unset):
        role (None | OperatorRole | Unset):
        usable (bool | None | Unset): Only those that are good now, or only the others.
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiTokenPage | Problem]
     """


    kwargs = _get_kwargs(
        name=name,
role=role,
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
    name: None | str | Unset = UNSET,
    role: None | OperatorRole | Unset = UNSET,
    usable: bool | None | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> ApiTokenPage | Problem | None:
    """ List Api Tokens

     List API tokens, newest first.

    Args:
        name (None | str | Unset):
        role (None | OperatorRole | Unset):
        usable (bool | None | Unset): Only those that are good now, or only the others.
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiTokenPage | Problem
     """


    return sync_detailed(
        client=client,
name=name,
role=role,
usable=usable,
cursor=cursor,
limit=limit,

    ).parsed

async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    name: None | str | Unset = UNSET,
    role: None | OperatorRole | Unset = UNSET,
    usable: bool | None | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> Response[ApiTokenPage | Problem]:
    """ List Api Tokens

     List API tokens, newest first.

    Args:
        name (None | str | Unset):
        role (None | OperatorRole | Unset):
        usable (bool | None | Unset): Only those that are good now, or only the others.
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ApiTokenPage | Problem]
     """


    kwargs = _get_kwargs(
        name=name,
role=role,
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
    name: None | str | Unset = UNSET,
    role: None | OperatorRole | Unset = UNSET,
    usable: bool | None | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> ApiTokenPage | Problem | None:
    """ List Api Tokens

     List API tokens, newest first.

    Args:
        name (None | str | Unset):
        role (None | OperatorRole | Unset):
        usable (bool | None | Unset): Only those that are good now, or only the others.
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ApiTokenPage | Problem
     """


    return (await asyncio_detailed(
        client=client,
name=name,
role=role,
usable=usable,
cursor=cursor,
limit=limit,

    )).parsed
