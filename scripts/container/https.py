"""What a company may have between the daemon and the API: a TLS server with a certificate of a private authority, and
a tunnelling proxy (CONNECT). For scripts/container-test.

https.py serve PORT CERTIFICATE KEY HOST:PORT    serves TLS on PORT and forwards the content unencrypted
https.py proxy PORT                              prints each tunnel that is requested
"""

import asyncio
import ssl
import sys


async def pass_on(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def join(client, host, port):
    there = await asyncio.open_connection(host, int(port))
    await asyncio.gather(pass_on(client[0], there[1]), pass_on(there[0], client[1]))


async def tunnel(reader, writer):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    method, target = head.split()[:2]
    print(method, target, flush=True)
    if method != "CONNECT":
        writer.write(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
        writer.close()
        return
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    await join((reader, writer), *target.rsplit(":", 1))


async def main(what, port, *rest):
    if what == "serve":
        certificate, key, target = rest
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        there = target.rsplit(":", 1)
        server = await asyncio.start_server(lambda r, w: join((r, w), *there), "0.0.0.0", int(port), ssl=context)
    else:
        server = await asyncio.start_server(tunnel, "0.0.0.0", int(port))
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
