from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...types import Response, UNSET
from ... import errors

from ...models.problem import Problem
from ...models.revocation_kind import check_revocation_kind
from ...models.revocation_kind import RevocationKind
from ...models.revocation_page import RevocationPage
from ...types import UNSET, Unset
from typing import cast
import datetime



def _get_kwargs(
    *,
    kind: None | RevocationKind | Unset = UNSET,
    subject: None | str | Unset = UNSET,
    key: None | str | Unset = UNSET,
    network: None | str | Unset = UNSET,
    revoked_by: None | str | Unset = UNSET,
    since: datetime.datetime | None | Unset = UNSET,
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

    json_subject: None | str | Unset
    if isinstance(subject, Unset):
        json_subject = UNSET
    else:
        json_subject = subject
    params["subject"] = json_subject

    json_key: None | str | Unset
    if isinstance(key, Unset):
        json_key = UNSET
    else:
        json_key = key
    params["key"] = json_key

    json_network: None | str | Unset
    if isinstance(network, Unset):
        json_network = UNSET
    else:
        json_network = network
    params["network"] = json_network

    json_revoked_by: None | str | Unset
    if isinstance(revoked_by, Unset):
        json_revoked_by = UNSET
    else:
        json_revoked_by = revoked_by
    params["revoked_by"] = json_revoked_by

    json_since: None | str | Unset
    if isinstance(since, Unset):
        json_since = UNSET
    elif isinstance(since, datetime.datetime):
        json_since = since.isoformat()
    else:
        json_since = since
    params["since"] = json_since

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
        "url": "/v1/revocations",
        "params": params,
    }


    return _kwargs



def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Problem | RevocationPage | None:
    if response.status_code == 200:
        response_200 = RevocationPage.from_dict(response.json())



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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[Problem | RevocationPage]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    kind: None | RevocationKind | Unset = UNSET,
    subject: None | str | Unset = UNSET,
    key: None | str | Unset = UNSET,
    network: None | str | Unset = UNSET,
    revoked_by: None | str | Unset = UNSET,
    since: datetime.datetime | None | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> Response[Problem | RevocationPage]:
    """ List Revocations

     List revocations, newest first.

    Args:
        kind (None | RevocationKind | Unset):
        subject (None | str | Unset): Identifier of what was put out.
        key (None | str | Unset): Public key, base64.
        network (None | str | Unset): Identifier or name.
        revoked_by (None | str | Unset):
        since (datetime.datetime | None | Unset): Not older than this.
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | RevocationPage]
     """


    kwargs = _get_kwargs(
        kind=kind,
subject=subject,
key=key,
network=network,
revoked_by=revoked_by,
since=since,
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
    kind: None | RevocationKind | Unset = UNSET,
    subject: None | str | Unset = UNSET,
    key: None | str | Unset = UNSET,
    network: None | str | Unset = UNSET,
    revoked_by: None | str | Unset = UNSET,
    since: datetime.datetime | None | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> Problem | RevocationPage | None:
    """ List Revocations

     List revocations, newest first.

    Args:
        kind (None | RevocationKind | Unset):
        subject (None | str | Unset): Identifier of what was put out.
        key (None | str | Unset): Public key, base64.
        network (None | str | Unset): Identifier or name.
        revoked_by (None | str | Unset):
        since (datetime.datetime | None | Unset): Not older than this.
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | RevocationPage
     """


    return sync_detailed(
        client=client,
kind=kind,
subject=subject,
key=key,
network=network,
revoked_by=revoked_by,
since=since,
cursor=cursor,
limit=limit,

    ).parsed

async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    kind: None | RevocationKind | Unset = UNSET,
    subject: None | str | Unset = UNSET,
    key: None | str | Unset = UNSET,
    network: None | str | Unset = UNSET,
    revoked_by: None | str | Unset = UNSET,
    since: datetime.datetime | None | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> Response[Problem | RevocationPage]:
    """ List Revocations

     List revocations, newest first.

    Args:
        kind (None | RevocationKind | Unset):
        subject (None | str | Unset): Identifier of what was put out.
        key (None | str | Unset): Public key, base64.
        network (None | str | Unset): Identifier or name.
        revoked_by (None | str | Unset):
        since (datetime.datetime | None | Unset): Not older than this.
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | RevocationPage]
     """


    kwargs = _get_kwargs(
        kind=kind,
subject=subject,
key=key,
network=network,
revoked_by=revoked_by,
since=since,
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
    kind: None | RevocationKind | Unset = UNSET,
    subject: None | str | Unset = UNSET,
    key: None | str | Unset = UNSET,
    network: None | str | Unset = UNSET,
    revoked_by: None | str | Unset = UNSET,
    since: datetime.datetime | None | Unset = UNSET,
    cursor: None | str | Unset = UNSET,
    limit: int | Unset = 50,

) -> Problem | RevocationPage | None:
    """ List Revocations

     List revocations, newest first.

    Args:
        kind (None | RevocationKind | Unset):
        subject (None | str | Unset): Identifier of what was put out.
        key (None | str | Unset): Public key, base64.
        network (None | str | Unset): Identifier or name.
        revoked_by (None | str | Unset):
        since (datetime.datetime | None | Unset): Not older than this.
        cursor (None | str | Unset): `next_cursor` of the page before.
        limit (int | Unset): At most so many items. Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | RevocationPage
     """


    return (await asyncio_detailed(
        client=client,
kind=kind,
subject=subject,
key=key,
network=network,
revoked_by=revoked_by,
since=since,
cursor=cursor,
limit=limit,

    )).parsed
