from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...types import Response, UNSET
from ... import errors

from ...models.credentials_answer import CredentialsAnswer
from ...models.credentials_renewal import CredentialsRenewal
from ...models.problem import Problem
from typing import cast



def _get_kwargs(
    relay: str,
    *,
    body: CredentialsRenewal,
    altnet_signature: str,

) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    headers["Altnet-Signature"] = altnet_signature



    

    

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/v1/relays/{relay}/credentials".format(relay=quote(str(relay), safe=""),),
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs



def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> CredentialsAnswer | Problem | None:
    if response.status_code == 200:
        response_200 = CredentialsAnswer.from_dict(response.json())



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


def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[CredentialsAnswer | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    relay: str,
    *,
    client: AuthenticatedClient | Client,
    body: CredentialsRenewal,
    altnet_signature: str,

) -> Response[CredentialsAnswer | Problem]:
    """ Renew Credentials

     Give a relay fresh credentials for the bus, and take over its present keys and endpoints.

    Args:
        relay (str):
        altnet_signature (str): Base64 of the nkey's Ed25519 signature over a purpose line
            (`altnet-enrol-v1` or `altnet-credentials-v1`, then a newline) and the raw body.
        body (CredentialsRenewal): A relay asks for fresh bus credentials. Signed by its nkey in
            the header Altnet-Signature.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[CredentialsAnswer | Problem]
     """


    kwargs = _get_kwargs(
        relay=relay,
body=body,
altnet_signature=altnet_signature,

    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)

def sync(
    relay: str,
    *,
    client: AuthenticatedClient | Client,
    body: CredentialsRenewal,
    altnet_signature: str,

) -> CredentialsAnswer | Problem | None:
    """ Renew Credentials

     Give a relay fresh credentials for the bus, and take over its present keys and endpoints.

    Args:
        relay (str):
        altnet_signature (str): Base64 of the nkey's Ed25519 signature over a purpose line
            (`altnet-enrol-v1` or `altnet-credentials-v1`, then a newline) and the raw body.
        body (CredentialsRenewal): A relay asks for fresh bus credentials. Signed by its nkey in
            the header Altnet-Signature.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        CredentialsAnswer | Problem
     """


    return sync_detailed(
        relay=relay,
client=client,
body=body,
altnet_signature=altnet_signature,

    ).parsed

async def asyncio_detailed(
    relay: str,
    *,
    client: AuthenticatedClient | Client,
    body: CredentialsRenewal,
    altnet_signature: str,

) -> Response[CredentialsAnswer | Problem]:
    """ Renew Credentials

     Give a relay fresh credentials for the bus, and take over its present keys and endpoints.

    Args:
        relay (str):
        altnet_signature (str): Base64 of the nkey's Ed25519 signature over a purpose line
            (`altnet-enrol-v1` or `altnet-credentials-v1`, then a newline) and the raw body.
        body (CredentialsRenewal): A relay asks for fresh bus credentials. Signed by its nkey in
            the header Altnet-Signature.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[CredentialsAnswer | Problem]
     """


    kwargs = _get_kwargs(
        relay=relay,
body=body,
altnet_signature=altnet_signature,

    )

    response = await client.get_async_httpx_client().request(
        **kwargs
    )

    return _build_response(client=client, response=response)

async def asyncio(
    relay: str,
    *,
    client: AuthenticatedClient | Client,
    body: CredentialsRenewal,
    altnet_signature: str,

) -> CredentialsAnswer | Problem | None:
    """ Renew Credentials

     Give a relay fresh credentials for the bus, and take over its present keys and endpoints.

    Args:
        relay (str):
        altnet_signature (str): Base64 of the nkey's Ed25519 signature over a purpose line
            (`altnet-enrol-v1` or `altnet-credentials-v1`, then a newline) and the raw body.
        body (CredentialsRenewal): A relay asks for fresh bus credentials. Signed by its nkey in
            the header Altnet-Signature.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        CredentialsAnswer | Problem
     """


    return (await asyncio_detailed(
        relay=relay,
client=client,
body=body,
altnet_signature=altnet_signature,

    )).parsed
