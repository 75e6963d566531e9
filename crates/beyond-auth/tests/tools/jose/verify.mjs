// Verifies JWTs as an application would: with jose, against the JWKS of a running service.
//
//   node verify.mjs <jwks url> <issuer> <audience>
//
// Reads one JWT a line from standard input and answers each with one line of JSON: {header, payload} or {error}.
import { createInterface } from "node:readline";
import { createRemoteJWKSet, jwtVerify } from "jose";

const [url, issuer, audience] = process.argv.slice(2);
// No cooldown: a test rotates keys faster than anybody else.
const keys = createRemoteJWKSet(new URL(url), { cooldownDuration: 0 });

for await (const line of createInterface({ input: process.stdin })) {
  try {
    const options = { issuer, audience, typ: "at+jwt", algorithms: ["EdDSA"] };
    const { payload, protectedHeader } = await jwtVerify(line, keys, options);
    console.log(JSON.stringify({ header: protectedHeader, payload }));
  } catch (error) {
    console.log(JSON.stringify({ error: error.code ?? String(error) }));
  }
}
