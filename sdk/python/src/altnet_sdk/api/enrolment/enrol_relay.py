from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...types import Response, UNSET
from ... import errors

from ...models.enrolment import Enrolment
from ...models.enrolment_answer import EnrolmentAnswer
from ...models.problem import Problem
from typing import cast



def _get_kwargs(
    *,
    body: Enrolment,
    altnet_signature: str,

) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    headers["Altnet-Signature"] = altnet_signature



    

    

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/v1/enrol",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs



def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> EnrolmentAnswer | Problem | None:
    if response.status_code == 200:
        response_200 = EnrolmentAnswer.from_dict(response.json())



        return response_200

    if response.status_code == 201:
        response_201 = EnrolmentAnswer.from_dict(response.json())



        return response_201

    if response.status_code == 401:
        response_401 = Problem.from_dict(response.json())



        return response_401

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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[EnrolmentAnswer | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient | Client,
    body: Enrolment,
    altnet_signature: str,

) -> Response[EnrolmentAnswer | Problem]:
    """ Enrol Relay

     Make a host a relay, by a join token. The same host again is the same relay, and uses no token.

    Args:
        altnet_signature (str): Base64 of the nkey's Ed25519 signature over a purpose line
            (`altnet-enrol-v1` or `altnet-credentials-v1`, then a newline) and the raw body.
        body (Enrolment): A host asks to become a relay. Signed by its nkey in the header Altnet-
            Signature.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[EnrolmentAnswer | Problem]
     """


    kwargs = _get_kwargs(
        body=body,
altnet_signature=altnet_signature,

    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)

def sync(
    *,
    client: AuthenticatedClient | Client,
    body: Enrolment,
    altnet_signature: str,

) -> EnrolmentAnswer | Problem | None:
    """ Enrol Relay

     Make a host a relay, by a join token. The same host again is the same relay, and uses no token.

    Args:
        altnet_signature (str): Base64 of the nkey's Ed25519 signature over a purpose line
            (`altnet-enrol-v1` or `altnet-credentials-v1`, then a newline) and the raw body.
        body (Enrolment): A host asks to become a relay. Signed by its nkey in the header Altnet-
            Signature.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        EnrolmentAnswer | Problem
     """


    return sync_detailed(
        client=client,
body=body,
altnet_signature=altnet_signature,

    ).parsed

async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    body: Enrolment,
    altnet_signature: str,

) -> Response[EnrolmentAnswer | Problem]:
    """ Enrol Relay

     Make a host a relay, by a join token. The same host again is the same relay, and uses no token.

    Args:
        altnet_signature (str): Base64 of the nkey's Ed25519 signature over a purpose line
            (`altnet-enrol-v1` or `altnet-credentials-v1`, then a newline) and the raw body.
        body (Enrolment): A host asks to become a relay. Signed by its nkey in the header Altnet-
            Signature.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[EnrolmentAnswer | Problem]
     """


    kwargs = _get_kwargs(
        body=body,
altnet_signature=altnet_signature,

    )

    response = await client.get_async_httpx_client().request(
        **kwargs
    )

    return _build_response(client=client, response=response)

async def asyncio(
    *,
    client: AuthenticatedClient | Client,
    body: Enrolment,
    altnet_signature: str,

) -> EnrolmentAnswer | Problem | None:
    """ Enrol Relay

     Make a host a relay, by a join token. The same host again is the same relay, and uses no token.

    Args:
        altnet_signature (str): Base64 of the nkey's Ed25519 signature over a purpose line
            (`altnet-enrol-v1` or `altnet-credentials-v1`, then a newline) and the raw body.
        body (Enrolment): A host asks to become a relay. Signed by its nkey in the header Altnet-
            Signature.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        EnrolmentAnswer | Problem
     """


    return (await asyncio_detailed(
        client=client,
body=body,
altnet_signature=altnet_signature,

    )).parsed
