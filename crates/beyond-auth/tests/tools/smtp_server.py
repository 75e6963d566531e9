"""A real SMTP server for tests.

Writes one JSON object a line to standard output: first {"event": "listening", "port": …}, then one
{"event": "mail", …} for each mail taken and {"event": "auth", …} for each sign-in tried.
Reads commands from standard input, one a line, and answers {"event": "ready", "fault": …}:
  fault none|temporary|permanent|mailbox|busy|hang|close
Ends when standard input does, so that it never outlives the test that started it.
"""

import argparse
import asyncio
import email
import email.policy
import json
import socket
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


def tell(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


class Handler:
    """Takes mails, or plays the fault that was asked for."""

    def __init__(self):
        self.fault = "none"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.fault == "mailbox":
            return "550 5.1.1 no such mailbox"
        if self.fault == "busy":
            return "450 4.2.1 mailbox busy"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if self.fault == "temporary":
            return "451 4.3.0 try again later"
        if self.fault == "permanent":
            return "554 5.7.1 refused because of https://spam.example/#token=ev_secret code 123456"
        if self.fault == "hang":
            await asyncio.sleep(3600)
        if self.fault == "close":
            server.transport.abort()
            return "421 closing"
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        parts = {part.get_content_type(): part.get_content() for part in message.walk() if not part.is_multipart()}
        tell(
            "mail",
            sender=envelope.mail_from,
            recipients=envelope.rcpt_tos,
            headers=[[name, str(value)] for name, value in message.items()],
            subject=str(message["Subject"]),
            text=parts.get("text/plain", ""),
            html=parts.get("text/html", ""),
            tls=session.ssl is not None or server.transport.get_extra_info("sslcontext") is not None,
            user=session.auth_data.login.decode() if session.auth_data else None,
        )
        return "250 OK"


def authenticator(user, password):
    def check(server, session, envelope, mechanism, auth_data):
        good = (
            isinstance(auth_data, LoginPassword)
            and auth_data.login.decode() == user
            and auth_data.password.decode() == password
        )
        tell("auth", mechanism=mechanism, accepted=good)
        # handled=False lets aiosmtpd answer 535.
        return AuthResult(success=good, handled=False, auth_data=auth_data if good else None)

    return check


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--mode", choices=["plain", "starttls", "tls"], default="plain")
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--mechanism", choices=["PLAIN", "LOGIN"], help="the only one offered")
    arguments = parser.parse_args()

    context = None
    if arguments.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(arguments.certificate, arguments.key)
    handler = Handler()

    def connection():
        options = {"hostname": "smtp.test", "enable_SMTPUTF8": True}
        if arguments.mode == "starttls":
            options.update(tls_context=context, require_starttls=True)
        if arguments.user:
            options.update(
                authenticator=authenticator(arguments.user, arguments.password),
                auth_required=True,
                auth_require_tls=arguments.mode == "starttls",
            )
            if arguments.mechanism:
                options.update(auth_exclude_mechanism=[{"PLAIN": "LOGIN", "LOGIN": "PLAIN"}[arguments.mechanism]])
        return SMTP(handler, **options)

    listener = socket.create_server(("127.0.0.1", arguments.port))
    loop = asyncio.get_running_loop()
    implicit = context if arguments.mode == "tls" else None
    server = await loop.create_server(connection, sock=listener, ssl=implicit)
    tell("listening", port=listener.getsockname()[1])

    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        match line.decode().split():
            case ["fault", fault]:
                handler.fault = fault
                tell("ready", fault=fault)
            case other:
                sys.exit(f"unknown command: {other}")
    server.close()


asyncio.run(main())
