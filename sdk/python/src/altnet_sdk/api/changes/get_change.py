from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...types import Response, UNSET
from ... import errors

from ...models.change import Change
from ...models.problem import Problem
from ...models.wait_for import check_wait_for
from ...models.wait_for import WaitFor
from ...types import UNSET, Unset
from typing import cast



def _get_kwargs(
    number: int,
    *,
    wait: None | Unset | WaitFor = UNSET,
    timeout: float | Unset = 30.0,

) -> dict[str, Any]:
    

    

    params: dict[str, Any] = {}

    json_wait: None | str | Unset
    if isinstance(wait, Unset):
        json_wait = UNSET
    elif isinstance(wait, str):
        json_wait = wait
    else:
        json_wait = wait
    params["wait"] = json_wait

    params["timeout"] = timeout


    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}


    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/v1/changes/{number}".format(number=quote(str(number), safe=""),),
        "params": params,
    }


    return _kwargs



def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Change | Problem | None:
    if response.status_code == 200:
        response_200 = Change.from_dict(response.json())



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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[Change | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    number: int,
    *,
    client: AuthenticatedClient,
    wait: None | Unset | WaitFor = UNSET,
    timeout: float | Unset = 30.0,

) -> Response[Change | Problem]:
    """ Get Change

     Show a change: applied on how many of how many relays, how fast, and who is behind, and why.

    Args:
        number (int): The number of a change.
        wait (None | Unset | WaitFor): Answer when it is applied everywhere, or time is over.
        timeout (float | Unset): Seconds to wait at most. Default: 30.0.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Change | Problem]
     """


    kwargs = _get_kwargs(
        number=number,
wait=wait,
timeout=timeout,

    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)

def sync(
    number: int,
    *,
    client: AuthenticatedClient,
    wait: None | Unset | WaitFor = UNSET,
    timeout: float | Unset = 30.0,

) -> Change | Problem | None:
    """ Get Change

     Show a change: applied on how many of how many relays, how fast, and who is behind, and why.

    Args:
        number (int): The number of a change.
        wait (None | Unset | WaitFor): Answer when it is applied everywhere, or time is over.
        timeout (float | Unset): Seconds to wait at most. Default: 30.0.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Change | Problem
     """


    return sync_detailed(
        number=number,
client=client,
wait=wait,
timeout=timeout,

    ).parsed

async def asyncio_detailed(
    number: int,
    *,
    client: AuthenticatedClient,
    wait: None | Unset | WaitFor = UNSET,
    timeout: float | Unset = 30.0,

) -> Response[Change | Problem]:
    """ Get Change

     Show a change: applied on how many of how many relays, how fast, and who is behind, and why.

    Args:
        number (int): The number of a change.
        wait (None | Unset | WaitFor): Answer when it is applied everywhere, or time is over.
        timeout (float | Unset): Seconds to wait at most. Default: 30.0.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Change | Problem]
     """


    kwargs = _get_kwargs(
        number=number,
wait=wait,
timeout=timeout,

    )

    response = await client.get_async_httpx_client().request(
        **kwargs
    )

    return _build_response(client=client, response=response)

async def asyncio(
    number: int,
    *,
    client: AuthenticatedClient,
    wait: None | Unset | WaitFor = UNSET,
    timeout: float | Unset = 30.0,

) -> Change | Problem | None:
    """ Get Change

     Show a change: applied on how many of how many relays, how fast, and who is behind, and why.

    Args:
        number (int): The number of a change.
        wait (None | Unset | WaitFor): Answer when it is applied everywhere, or time is over.
        timeout (float | Unset): Seconds to wait at most. Default: 30.0.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Change | Problem
     """


    return (await asyncio_detailed(
        number=number,
client=client,
wait=wait,
timeout=timeout,

    )).parsed
