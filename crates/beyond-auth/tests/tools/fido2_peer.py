"""Passkeys by an implementation that is not ours (Yubico's fido2): an authenticator, and a relying party.

Reads one JSON object a line, answers with one a line: a credential, or {} for what holds, or {"error": why}.
"""

import json
import os
import sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from fido2.cose import RS256, EdDSA, ES256
from fido2.server import Fido2Server
from fido2.utils import sha256
from fido2.webauthn import (
    AttestationObject,
    AttestedCredentialData,
    AuthenticationResponse,
    AuthenticatorAssertionResponse,
    AuthenticatorAttestationResponse,
    AuthenticatorData,
    CollectedClientData,
    PublicKeyCredentialCreationOptions,
    PublicKeyCredentialRequestOptions,
    PublicKeyCredentialRpEntity,
    RegistrationResponse,
)

FLAG = AuthenticatorData.FLAG
held = {}


def new_key(algorithm):
    if algorithm == -8:
        key = ed25519.Ed25519PrivateKey.generate()
        return key, EdDSA.from_cryptography_key(key.public_key()), key.sign
    if algorithm == -7:
        key = ec.generate_private_key(ec.SECP256R1())
        sign = lambda message: key.sign(message, ec.ECDSA(hashes.SHA256()))
        return key, ES256.from_cryptography_key(key.public_key()), sign
    key = rsa.generate_private_key(65537, 2048)
    sign = lambda message: key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    return key, RS256.from_cryptography_key(key.public_key()), sign


def create(asked):
    options = PublicKeyCredentialCreationOptions.from_dict(asked["options"])
    offered = [kind.alg for kind in options.pub_key_cred_params]
    assert asked["algorithm"] in offered, offered
    _, public, sign = new_key(asked["algorithm"])
    credential_id = os.urandom(48)
    held[credential_id] = (sign, options.user.id)
    data = AuthenticatorData.create(
        sha256(options.rp.id.encode()),
        FLAG.UP | FLAG.UV | FLAG.AT | FLAG.ED,
        0,
        AttestedCredentialData.create(bytes(range(16)), credential_id, public),
        {"credProtect": 2},
    )
    client_data = CollectedClientData.create("webauthn.create", options.challenge, asked["origin"])
    response = AuthenticatorAttestationResponse(
        client_data=client_data, attestation_object=AttestationObject.create("none", data, {})
    )
    return dict(RegistrationResponse(raw_id=credential_id, response=response))


def get(asked):
    options = PublicKeyCredentialRequestOptions.from_dict(asked["options"])
    allowed = [allow.id for allow in options.allow_credentials or ()] or list(held)[-1:]
    credential_id = next(name for name in allowed if name in held)
    sign, user_handle = held[credential_id]
    data = AuthenticatorData.create(sha256(options.rp_id.encode()), FLAG.UP | FLAG.UV, 0)
    client_data = CollectedClientData.create("webauthn.get", options.challenge, asked["origin"])
    response = AuthenticatorAssertionResponse(
        client_data=client_data,
        authenticator_data=data,
        signature=sign(data + client_data.hash),
        user_handle=user_handle,
    )
    return dict(AuthenticationResponse(raw_id=credential_id, response=response))


def check(asked):
    """Judges what another authenticator made, as a relying party: a registration and a sign-in with it."""
    created, got = asked["created"], asked["got"]
    rp = PublicKeyCredentialRpEntity.from_dict(created["options"]["rp"])
    server = Fido2Server(rp, verify_origin=lambda origin: origin == asked["origin"])
    state = lambda options: {"challenge": options["challenge"], "user_verification": "required"}
    data = server.register_complete(state(created["options"]), created["credential"])
    server.authenticate_complete(state(got["options"]), [data.credential_data], got["credential"])
    return {}


for line in sys.stdin:
    try:
        asked = json.loads(line)
        answer = {"create": create, "get": get, "check": check}[asked["do"]](asked)
    except Exception as error:  # The test reads it.
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer, default=dict), flush=True)
